"""What each value of an input contributes to what a network says of it: integrated gradients. Imports torch only.

Sundararajan et al., Axiomatic Attribution for Deep Networks (2017). The contribution of value i to output k is
(x_i - b_i) times the mean of the gradient of k along the straight way from a baseline b to the input x; over all values
they sum to the difference of the output at x and at b. That mean is an integral, and because its exact value is known
in sum, a piece of the way is halved until its own sum is right: into tiny pieces around the kinks of a relu, and hardly
at all where the network is smooth.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

#: Points and weights of the three-point Gauss-Legendre rule on 0..1.
_POINTS = (0.5 - 0.15**0.5, 0.5, 0.5 + 0.15**0.5)
_WEIGHTS = (5 / 18, 8 / 18, 5 / 18)
#: Pieces at first, and how often one may be halved.
_PIECES, _MOST_HALVINGS = 2, 48
#: What sums of float64 numbers may be off by beside their size. A piece that is right up to this cannot be made better:
#: halving it would go on for ever where the outputs hardly differ between the two ends of the way.
_ROUNDING = 1e-14
#: Numbers that go through a network at once: bounds the memory.
_VALUES_AT_ONCE = 1 << 21


@dataclass(frozen=True, slots=True)
class Attribution:
    """float64, on the CPU."""

    #: (samples, outputs, *shape of one input).
    contributions: torch.Tensor
    #: What the network says of the inputs, (samples, outputs), and of the baseline, (outputs,).
    outputs: torch.Tensor
    baseline_outputs: torch.Tensor

    @property
    def residuals(self) -> torch.Tensor:
        """(samples, outputs): how far the contributions' sum is from the difference that it should be."""
        return self.contributions.flatten(start_dim=2).sum(dim=2) - (self.outputs - self.baseline_outputs)


def integrated_gradients(
    network: nn.Module, inputs: torch.Tensor, baseline: torch.Tensor, *, tolerance: float = 1e-6
) -> Attribution:
    """Attributions of `inputs` (samples, …, features), beginning at `baseline` (features,), the same in every row.

    The residual of each output is at most about `tolerance` times the largest change of an output of its sample, or
    what rounding leaves of the outputs if that is more.
    """
    network = copy.deepcopy(network).double().eval()
    inputs = inputs.detach().double()
    start = baseline.double().expand(inputs.shape[1:])
    way = inputs - start
    with torch.no_grad():
        outputs, at_start = network(inputs), network(start.unsqueeze(0))
    contributions = torch.zeros(len(inputs), outputs.shape[1], *inputs.shape[1:], dtype=torch.float64)
    allowed = tolerance / 64 * (outputs - at_start).abs().amax(dim=1).clamp(min=1e-12)
    at_once = max(_VALUES_AT_ONCE // (len(_POINTS) * outputs.shape[1] * max(start.numel(), 1)), 1)

    samples = torch.arange(len(inputs)).repeat_interleave(_PIECES)
    lows = (torch.arange(_PIECES, dtype=torch.float64) / _PIECES).repeat(len(inputs))
    width = 1.0 / _PIECES
    for halving in range(_MOST_HALVINGS + 1):
        unfinished: list[torch.Tensor] = []
        for pieces in torch.split(torch.arange(len(samples)), at_once):
            of, low = samples[pieces], lows[pieces]
            found, missing = _integrate(network, start, way[of], low, width)
            good = (missing <= allowed[of]) | (halving == _MOST_HALVINGS)
            contributions.index_add_(0, of[good], found[good])
            unfinished.append(pieces[~good])
        left = torch.cat(unfinished) if unfinished else samples[:0]
        if len(left) == 0:
            break
        width /= 2
        samples = samples[left].repeat(2)
        lows = torch.cat([lows[left], lows[left] + width])
    return Attribution(contributions, outputs, at_start[0])


def _integrate(
    network: nn.Module, start: torch.Tensor, way: torch.Tensor, lows: torch.Tensor, width: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What one piece of each row's way contributes, (rows, outputs, *shape), and how far off the sums are beyond their
    rounding, (rows,)."""
    shape = (-1, *[1] * (way.dim() - 1))
    with torch.no_grad():
        ends = [network(start + way * at.view(shape)) for at in (lows, lows + width)]
    found = torch.zeros(len(way), ends[0].shape[1], *way.shape[1:], dtype=torch.float64)
    for point, weight in zip(_POINTS, _WEIGHTS, strict=True):
        at = (start + way * (lows + point * width).view(shape)).requires_grad_()
        outputs = network(at)
        for number in range(outputs.shape[1]):
            (gradient,) = torch.autograd.grad(outputs[:, number].sum(), at, retain_graph=True)
            found[:, number] += weight * width * gradient * way
    parts = found.flatten(start_dim=2)
    rounding = _ROUNDING * (parts.abs().sum(dim=2) + ends[0].abs() + ends[1].abs())
    missing = (parts.sum(dim=2) - (ends[1] - ends[0])).abs() - rounding
    return found, missing.amax(dim=1)
