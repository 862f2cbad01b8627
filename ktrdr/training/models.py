"""The networks, by type. Imports torch only.

To add one, write a function that builds it and its line in `_BUILDERS`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ktrdr.training.strategy.model import Activation, Mlp, Model, Recurrent
from ktrdr.training.windows import Inputs

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
    """A new network, its weights drawn from torch's global generator.

    From (samples, inputs), or for a recurrent one (samples, sequence length, inputs), to (samples, outputs).
    """
    return _BUILDERS[model.type](model.architecture, inputs, outputs)


def window_length(model: Model) -> int | None:
    """How many rows the network reads of each sample, as a window; None when it reads one, without a window."""
    return model.architecture.sequence_length if isinstance(model.architecture, Recurrent) else None


def outputs_of(network: nn.Module, inputs: Inputs) -> torch.Tensor:
    """What the network says of each sample, (samples, outputs), without dropout. Leaves the network in evaluation mode.

    Goes through the samples in pieces, so it takes no more memory for many than for some.
    """
    rows_of_sample = inputs.shape[1:-1].numel()
    at_once = max(_ROWS_AT_ONCE // rows_of_sample, 1)
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(samples) for samples in inputs.split(at_once)])


class LastHiddenState(nn.Module):
    """What a recurrent network remembers of each window after its last row: (samples, hidden size)."""

    def __init__(self, recurrent: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.recurrent = recurrent

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        hidden_states: torch.Tensor = self.recurrent(windows)[0]
        return hidden_states[:, -1]


def _mlp(architecture: Mlp, inputs: int, outputs: int) -> nn.Module:
    layers: list[nn.Module] = []
    for width in architecture.hidden_layers:
        layers += [nn.Linear(inputs, width), _ACTIVATIONS[architecture.activation](), nn.Dropout(architecture.dropout)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def _recurrent(kind: type[nn.LSTM | nn.GRU]) -> Callable[[Recurrent, int, int], nn.Module]:
    def build(architecture: Recurrent, inputs: int, outputs: int) -> nn.Module:
        recurrent = kind(
            inputs,
            architecture.hidden_size,
            architecture.num_layers,
            # Dropout lies between the layers; torch warns when there is nothing between which it could lie.
            dropout=architecture.dropout if architecture.num_layers > 1 else 0.0,
            batch_first=True,
        )
        head = nn.Linear(architecture.hidden_size, outputs)
        return nn.Sequential(LastHiddenState(recurrent), nn.Dropout(architecture.dropout), head)

    return build


_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": _mlp,
    "lstm": _recurrent(nn.LSTM),
    "gru": _recurrent(nn.GRU),
}
