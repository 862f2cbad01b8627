"""The networks, by type. Imports torch only.

To add one, write a function that builds it and its line in `_BUILDERS`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ktrdr.training.strategy.model import Activation, Mlp, Model

#: Rows that go through a network at once outside training: bounds the memory of the hidden layers.
_ROWS_AT_ONCE = 1 << 16

_ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def build_network(model: Model, *, inputs: int, outputs: int) -> nn.Module:
    """A new network from (rows, inputs) to (rows, outputs), its weights drawn from torch's global generator."""
    return _BUILDERS[model.type](model.architecture, inputs, outputs)


def outputs_of(network: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """What the network says of each row, (rows, outputs), without dropout. Leaves the network in evaluation mode."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(rows) for rows in torch.split(features, _ROWS_AT_ONCE)])


def _mlp(architecture: Mlp, inputs: int, outputs: int) -> nn.Module:
    layers: list[nn.Module] = []
    for width in architecture.hidden_layers:
        layers += [nn.Linear(inputs, width), _ACTIVATIONS[architecture.activation](), nn.Dropout(architecture.dropout)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


_BUILDERS: dict[str, Callable[..., nn.Module]] = {"mlp": _mlp}
