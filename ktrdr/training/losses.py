"""Losses, and the weights that balance the classes. Imports torch only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional

from ktrdr.training.strategy.model import Loss

#: (outputs, targets) → one loss per sample, class weights included.
SampleLosses = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def sample_losses(loss: Loss, class_weights: torch.Tensor | None) -> SampleLosses:
    """The loss of the strategy. Outputs have shape (samples, outputs), targets and losses (samples,).

    The mean over a batch divides by the number of samples, not by the sum of their class weights, so that a part whose
    samples all are of a class without weight has a loss of 0, and not 0 / 0.
    """
    match loss:
        case Loss(type="cross_entropy"):
            return partial(functional.cross_entropy, weight=class_weights, reduction="none")
        case Loss(type="focal", focal_gamma=int() | float() as gamma):
            return partial(_focal, gamma=gamma, class_weights=class_weights)
        case Loss(type="huber", huber_delta=int() | float() as delta):
            return partial(_forecast, functional.huber_loss, delta=delta)
        case Loss(type="mse"):
            return partial(_forecast, functional.mse_loss)
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
