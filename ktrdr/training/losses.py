"""Losses, their gradients, and the weights that balance the classes. Imports torch only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch.nn import functional

from ktrdr.training.strategy.model import Loss

#: The kernels behind `functional.cross_entropy` and its gradient.
_losses_of_classes = torch.ops.aten.nll_loss_forward.default
_slope_of_classes = torch.ops.aten.nll_loss_backward.default
_slope_of_log_softmax = torch.ops.aten._log_softmax_backward_data.default
#: Their numbers for the reductions "none" and "sum", and the class that they leave out by default.
_EACH, _SUM, _LEFT_OUT = 0, 2, -100


class Slope(NamedTuple):
    #: Of a batch: the sum of its losses times their samples' weights, a scalar.
    total: torch.Tensor
    #: (samples, outputs): what the mean, which is the total by the number of samples, changes by with each output.
    gradient: torch.Tensor


@dataclass(frozen=True, slots=True)
class SampleLosses:
    """(outputs, targets) → one loss per sample, class weights included.

    Outputs have shape (samples, outputs); targets, losses and sample weights (samples,).
    """

    of_each: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.of_each(outputs, targets)

    def total(self, outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        """The sum of the losses times their samples' weights.

        A batch's mean is this by the number of its samples, not by the sum of any weights, so that a batch whose
        samples all are of a class without weight has a loss of 0, and not 0 / 0.
        """
        losses = self.of_each(outputs, targets)
        return (losses if weights is None else losses * weights).sum()

    def slope(self, outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> Slope:
        """The total, and the gradient of the mean."""
        outputs = outputs.detach().requires_grad_()
        total = self.total(outputs, targets, weights)
        (gradient,) = torch.autograd.grad(total / len(targets), outputs)
        return Slope(total.detach(), gradient)


@dataclass(frozen=True, slots=True)
class _CrossEntropy(SampleLosses):
    """Its slope is written out, with the kernels that autograd calls, in a quarter of the time."""

    class_weights: torch.Tensor | None

    def slope(self, outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> Slope:
        log_probabilities = outputs.log_softmax(1)
        reduction = _SUM if weights is None else _EACH
        losses, divisor = _losses_of_classes(log_probabilities, targets, self.class_weights, reduction, _LEFT_OUT)
        share = 1.0 / len(targets)
        shares = losses.new_full((), share) if weights is None else weights * share
        of_logs = _slope_of_classes(
            shares, log_probabilities, targets, self.class_weights, reduction, _LEFT_OUT, divisor
        )
        gradient = _slope_of_log_softmax(of_logs, log_probabilities, 1, outputs.dtype)
        return Slope(losses if weights is None else torch.dot(losses, weights), gradient)


def sample_losses(loss: Loss, class_weights: torch.Tensor | None) -> SampleLosses:
    """The loss of the strategy."""
    match loss:
        case Loss(type="cross_entropy"):
            of_each = partial(functional.cross_entropy, weight=class_weights, reduction="none")
            return _CrossEntropy(of_each, class_weights)
        case Loss(type="focal", focal_gamma=int() | float() as gamma):
            return SampleLosses(partial(_focal, gamma=gamma, class_weights=class_weights))
        case Loss(type="huber", huber_delta=int() | float() as delta):
            return SampleLosses(partial(_forecast, functional.huber_loss, delta=delta))
        case Loss(type="mse"):
            return SampleLosses(partial(_forecast, functional.mse_loss))
        case _:
            raise ValueError(f"the loss lacks a parameter: {loss}")


def balanced_class_weights(targets: torch.Tensor, classes: int) -> torch.Tensor:
    """float32 (classes,): inverse frequency with mean 1 over these samples; 0 for a class that is absent."""
    counts = torch.bincount(targets, minlength=classes).to(torch.float64)
    present = counts > 0
    weights = torch.where(present, len(targets) / (present.sum() * counts), 0.0)
    return weights.to(torch.float32)


def _focal(
    outputs: torch.Tensor, targets: torch.Tensor, *, gamma: float, class_weights: torch.Tensor | None
) -> torch.Tensor:
    """-(1 - p)^gamma log p of the right class (Lin et al., Focal Loss for Dense Object Detection, 2017)."""
    log_probability = functional.log_softmax(outputs, dim=1).gather(1, targets.unsqueeze(1)).squeeze(1)
    losses = -((1.0 - log_probability.exp()) ** gamma) * log_probability
    return losses if class_weights is None else losses * class_weights[targets]


def _forecast(
    loss: Callable[..., torch.Tensor], outputs: torch.Tensor, targets: torch.Tensor, **parameters: float
) -> torch.Tensor:
    return loss(outputs.squeeze(1), targets, reduction="none", **parameters)
