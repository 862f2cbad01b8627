"""The loss of a batch and its gradient for every weight, by the chain rule. Imports torch only.

Torch's autograd finds it for any network, but spends three times as long on its records as the arithmetic of a small
one takes. So for a plain chain of layers on the CPU the way back is written out here, with the kernels that autograd
calls; every other network goes through autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import nn

from ktrdr.training.losses import SampleLosses
from ktrdr.training.sampling import Batch
from ktrdr.training.weights import OneVector

#: Units whose dropout is drawn at once: few enough for the processor's cache.
_DRAWN_AT_ONCE = 1 << 16


class Learned(NamedTuple):
    """What a batch gave beside the gradient, which is in the vector."""

    #: The sum of its losses, a scalar.
    total_loss: torch.Tensor
    #: (samples, outputs), from before the weights move.
    outputs: torch.Tensor


#: Puts the gradient of the batch's mean loss into the vector.
Backpropagation = Callable[[Batch], Learned]


def backpropagation(network: nn.Module, vector: OneVector, losses: SampleLosses) -> Backpropagation:
    """For the network whose weights the vector holds; made anew for every epoch, because it draws dropout ahead."""
    modules = list(network) if isinstance(network, nn.Sequential) else [network]
    modules = [module for module in modules if not (isinstance(module, nn.Dropout) and module.p == 0)]
    is_written_out = vector.gradient.device.type == "cpu" and all(type(module) in _LAYERS for module in modules)
    return _chain(modules, losses) if is_written_out else _autograd(network, vector, losses)


def _autograd(network: nn.Module, vector: OneVector, losses: SampleLosses) -> Backpropagation:
    def learn(batch: Batch) -> Learned:
        vector.gradient.zero_()
        outputs = network(batch.features)
        total = losses.total(outputs, batch.targets, batch.weights)
        torch.autograd.backward(total / len(batch.targets))
        return Learned(total.detach(), outputs.detach())

    return learn


def _chain(modules: list[nn.Module], losses: SampleLosses) -> Backpropagation:
    layers = [_LAYERS[type(module)](module) for module in modules]
    backwards = layers[::-1]

    def learn(batch: Batch) -> Learned:
        outputs = batch.features
        for layer in layers:
            outputs = layer.forward(outputs)
        total, gradient = losses.slope(outputs, batch.targets, batch.weights)
        for layer in backwards:
            layer.learn(gradient)
            if layer is not layers[0]:  # Nobody asks what the loss changes by with the features.
                gradient = layer.backward(gradient)
        return Learned(total, outputs)

    return learn


class _Layer(Protocol):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The outputs; keeps what the way back needs."""

    def learn(self, gradient: torch.Tensor) -> None:
        """Puts the gradient for the layer's own weights into the vector, given the one for its outputs."""

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient for the inputs, given the one for the outputs."""


class _Linear:
    def __init__(self, module: nn.Linear) -> None:
        self._weight, self._bias = module.weight.data, module.bias.data
        self._transposed = self._weight.t()
        self._weight_gradient, self._bias_gradient = module.weight.grad, module.bias.grad

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self._inputs = inputs
        return torch.addmm(self._bias, inputs, self._transposed)

    def learn(self, gradient: torch.Tensor) -> None:
        torch.mm(gradient.t(), self._inputs, out=self._weight_gradient)
        torch.sum(gradient, 0, out=self._bias_gradient)

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        return torch.mm(gradient, self._weight)


class _Activation:
    def __init__(self, module: nn.Module) -> None:
        self._function: Callable[[torch.Tensor], torch.Tensor] = module.forward
        self._slope = _SLOPES[type(module)]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self._inputs, self._outputs = inputs, self._function(inputs)
        return self._outputs

    def learn(self, gradient: torch.Tensor) -> None:
        """It has no weights."""

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        return self._slope(gradient, self._inputs, self._outputs)


class _Dropout:
    """Drops each unit with a probability that is rounded to a multiple of 1 / 65536.

    A unit takes sixteen bits of torch's global generator, which are drawn for many batches together: 20 us for the
    6,000 units of a small network and a batch of 64, where `bernoulli_` takes 60 (measured).
    """

    def __init__(self, module: nn.Dropout) -> None:
        kept = min(max(round((1 - module.p) * 65536), 1), 65535)
        self._below = kept - 32768
        self._scale = 65536 / kept
        self._drawn = torch.empty(0, 0)
        self._used = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        count, width = inputs.shape
        if self._used + count > len(self._drawn):
            self._drawn = self._draw(max(_DRAWN_AT_ONCE // width, count), width)
            self._used = 0
        self._mask = self._drawn[self._used : self._used + count]
        self._used += count
        return inputs * self._mask

    def _draw(self, count: int, width: int) -> torch.Tensor:
        """Factors of (count, width) units: 0, or what keeps the mean of the units as it is."""
        words = torch.empty((count * width + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: count * width].view(count, width)
        return (bits < self._below).to(torch.float32).mul_(self._scale)

    def learn(self, gradient: torch.Tensor) -> None:
        """It has no weights."""

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * self._mask


#: (gradient for the outputs, inputs, outputs) → gradient for the inputs.
_Slope = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def _slope_by_outputs(kernel: Callable[..., torch.Tensor], *parameters: float) -> _Slope:
    return lambda gradient, _inputs, outputs: kernel(gradient, outputs, *parameters)


def _slope_by_inputs(kernel: Callable[..., torch.Tensor], *parameters: float) -> _Slope:
    return lambda gradient, inputs, _outputs: kernel(gradient, inputs, *parameters)


_SLOPES: dict[type[nn.Module], _Slope] = {
    nn.ReLU: _slope_by_outputs(torch.ops.aten.threshold_backward.default, 0),
    nn.Tanh: _slope_by_outputs(torch.ops.aten.tanh_backward.default),
    nn.Sigmoid: _slope_by_outputs(torch.ops.aten.sigmoid_backward.default),
    nn.LeakyReLU: _slope_by_inputs(torch.ops.aten.leaky_relu_backward.default, nn.LeakyReLU().negative_slope, False),
    nn.GELU: _slope_by_inputs(torch.ops.aten.gelu_backward.default),
    nn.SiLU: _slope_by_inputs(torch.ops.aten.silu_backward.default),
}

_LAYERS: dict[type[nn.Module], Callable[..., _Layer]] = {
    nn.Linear: _Linear,
    nn.Dropout: _Dropout,
    **dict.fromkeys(_SLOPES, _Activation),
}
