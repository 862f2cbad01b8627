"""What the trainer steps: optimizers, learning-rate schedules, and the best weights so far. Imports torch only.

All of them work on one vector of weights, and what they remember is plain: tensors by name, or a frozen value, so that
a checkpoint can hold it. To add an optimizer or a schedule, write its case here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ktrdr.training.progress import EpochFinished
from ktrdr.training.strategy.model import EarlyStopping, Optimizer, Scheduler
from ktrdr.training.weights import OneVector

#: What `torch.optim` uses when nothing else is said.
_BETAS, _EPSILON, _RMSPROP_DECAY = (0.9, 0.999), 1e-8, 0.99
#: The share by which a plateau's loss must fall to count as better, as `torch.optim.lr_scheduler` has it.
_PLATEAU_THRESHOLD = 1e-4


@dataclass(frozen=True, slots=True)
class WeightOptimizer:
    #: Moves the weights against their gradient, at this learning rate.
    step: Callable[[float], None]
    #: What it remembers between two steps; changed in place.
    memory: dict[str, torch.Tensor]


def make_optimizer(settings: Optimizer, vector: OneVector) -> WeightOptimizer:
    """The optimizer of that name as `torch.optim` defines it.

    It calls the kernels behind `torch.optim`'s `fused=True` itself: a kernel takes 7 us for a small network, and the
    class around it 130 us more (measured), as it would also do for a thousand tensors on several devices.
    """
    match settings.type:
        case "adam":
            return _adam(torch._fused_adam_, settings, vector)
        case "adamw":
            return _adam(torch._fused_adamw_, settings, vector)
        case "sgd":
            return _sgd(settings, vector)
        case "rmsprop":
            return _rmsprop(settings, vector)


def _adam(kernel: Callable[..., object], settings: Optimizer, vector: OneVector) -> WeightOptimizer:
    weights, gradient = [vector.weights.data], [vector.gradient]
    mean, square = torch.zeros_like(vector.gradient), torch.zeros_like(vector.gradient)
    steps = torch.zeros((), device=vector.gradient.device)

    def step(learning_rate: float) -> None:
        steps.add_(1)
        kernel(
            weights,
            gradient,
            [mean],
            [square],
            [],
            [steps],
            lr=learning_rate,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            weight_decay=settings.weight_decay,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    return WeightOptimizer(step, {"mean": mean, "square": square, "steps": steps})


def _sgd(settings: Optimizer, vector: OneVector) -> WeightOptimizer:
    weights, gradient = [vector.weights.data], [vector.gradient]
    memory = {"momentum": torch.zeros_like(vector.gradient)} if settings.momentum else {}

    def step(learning_rate: float) -> None:
        torch._fused_sgd_(
            weights,
            gradient,
            list(memory.values()),
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )

    return WeightOptimizer(step, memory)


def _rmsprop(settings: Optimizer, vector: OneVector) -> WeightOptimizer:
    weights = vector.weights.data
    square = torch.zeros_like(weights)
    memory = {"square": square} | ({"momentum": torch.zeros_like(weights)} if settings.momentum else {})

    def step(learning_rate: float) -> None:
        gradient = torch.add(vector.gradient, weights, alpha=settings.weight_decay)
        square.mul_(_RMSPROP_DECAY).addcmul_(gradient, gradient, value=1 - _RMSPROP_DECAY)
        size = square.sqrt().add_(_EPSILON)
        if settings.momentum:
            weights.sub_(memory["momentum"].mul_(settings.momentum).addcdiv_(gradient, size), alpha=learning_rate)
        else:
            weights.addcdiv_(gradient, size, value=-learning_rate)

    return WeightOptimizer(step, memory)


def clip_gradient(gradient: torch.Tensor, largest_norm: float) -> None:
    """Shortens the gradient to `largest_norm`, in place, as `torch.nn.utils.clip_grad_norm_` does."""
    norm = torch.linalg.vector_norm(gradient)
    if norm.device.type != "cpu":  # An accelerator goes on without an answer.
        gradient.mul_((largest_norm / (norm + 1e-6)).clamp_(max=1.0))
    elif (size := norm.item()) > largest_norm:
        gradient.mul_(largest_norm / (size + 1e-6))


@dataclass(frozen=True, slots=True)
class LearningRate:
    """The rate of the next epoch, and what a plateau is recognised by."""

    rate: float
    #: The lowest validation loss; None before the first epoch.
    best: float | None = None
    epochs_without_gain: int = 0


def next_rate(
    settings: Scheduler | None, first: float, before: LearningRate, *, epoch: int, epochs: int, validation_loss: float
) -> LearningRate:
    """What follows when epoch `epoch` of `epochs` has ended; the first epoch had the rate `first`.

    Cosine reaches 0 at the end of the last epoch.
    """
    match settings:
        case None:
            return before
        case Scheduler(type="reduce_on_plateau", factor=int() | float() as factor, patience=int(patience)):
            return _after_plateau(before, validation_loss, factor, patience)
        case Scheduler(type="step", step_size=int(step_size), gamma=int() | float() as gamma):
            return LearningRate(first * gamma ** (epoch // step_size))
        case Scheduler(type="exponential", gamma=int() | float() as gamma):
            return LearningRate(first * gamma**epoch)
        case Scheduler(type="cosine"):
            return LearningRate(first * (1 + math.cos(math.pi * epoch / epochs)) / 2)
        case _:
            raise ValueError(f"the schedule lacks a parameter: {settings}")


def _after_plateau(before: LearningRate, loss: float, factor: float, patience: int) -> LearningRate:
    if before.best is None or loss < before.best * (1 - _PLATEAU_THRESHOLD):
        return replace(before, best=loss, epochs_without_gain=0)
    if before.epochs_without_gain < patience:
        return replace(before, epochs_without_gain=before.epochs_without_gain + 1)
    return replace(before, rate=before.rate * factor, epochs_without_gain=0)


@dataclass(frozen=True, slots=True)
class Best:
    """The best epoch so far, by what is watched: a number that is better when it is lower."""

    epoch: int
    value: float
    #: A copy, of shape (weights,).
    weights: torch.Tensor
    #: What an epoch must undercut by `min_delta` to count as a gain.
    reference: float
    epochs_without_gain: int


def note_epoch(settings: EarlyStopping, before: Best | None, finished: EpochFinished, weights: torch.Tensor) -> Best:
    """Takes note of an epoch. The best epoch is the best by any margin; patience asks for `min_delta`."""
    value = _watched(settings, finished)
    if before is None:
        return Best(finished.epoch, value, weights.detach().clone(), value, 0)
    if value < before.value:
        before = replace(before, epoch=finished.epoch, value=value, weights=weights.detach().clone())
    if value < before.reference - settings.min_delta:
        return replace(before, reference=value, epochs_without_gain=0)
    return replace(before, epochs_without_gain=before.epochs_without_gain + 1)


def is_time_to_stop(settings: EarlyStopping, best: Best | None) -> bool:
    return best is not None and best.epochs_without_gain >= settings.patience


def _watched(settings: EarlyStopping, finished: EpochFinished) -> float:
    if settings.monitor == "val_loss":
        return finished.validation_loss
    if finished.validation_accuracy is None:
        raise ValueError("a regression has no val_accuracy to monitor")
    return -finished.validation_accuracy
