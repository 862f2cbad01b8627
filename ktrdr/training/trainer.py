"""The training loop. Imports torch only.

The data lies in one tensor on the device; each epoch permutes it once and splits it into batches. Nothing inside the
loop waits for a result (`.item()` would), so losses are looked at when the epoch is over.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from ktrdr.training.dataset import Part
from ktrdr.training.determinism import seed_everything
from ktrdr.training.device_manager import DeviceCapabilities
from ktrdr.training.losses import SampleLosses
from ktrdr.training.models import outputs_of
from ktrdr.training.optimization import BestWeights, clip_gradient, make_optimizer, make_schedule
from ktrdr.training.progress import (
    BatchFinished,
    CancellationToken,
    EpochFinished,
    ProgressCallback,
    TrainingCancelledError,
    TrainingFailedError,
)
from ktrdr.training.sampling import Batch, balanced_order, batches_of
from ktrdr.training.strategy.model import Training
from ktrdr.training.weights import as_one_vector, weights_digest


@dataclass(frozen=True, slots=True)
class TrainedModel:
    #: On the CPU, in evaluation mode.
    network: nn.Module
    #: One entry per epoch, from the first.
    history: tuple[EpochFinished, ...]
    #: The epoch whose weights the network has: the best one with early stopping, otherwise the last.
    best_epoch: int
    #: Samples a step: the strategy's, or fewer where the device cannot hold as many.
    batch_size: int


def train_network(
    network: nn.Module,
    train: Part,
    validation: Part,
    training: Training,
    losses: SampleLosses,
    *,
    seed: int,
    capabilities: DeviceCapabilities,
    progress_callback: ProgressCallback,
    cancellation_token: CancellationToken,
) -> TrainedModel:
    """Trains a copy of `network`; the one given stays as it is.

    Raises `TrainingCancelledError` before the next batch once the token says so, and `TrainingFailedError` at the end
    of an epoch in which a loss was not a finite number.
    """
    seed_everything(seed)  # Dropout draws from the global generator.
    generator = torch.Generator().manual_seed(seed)
    learner = copy.deepcopy(network).to(capabilities.device)
    train, validation = _on_device(train, capabilities.device), _on_device(validation, capabilities.device)
    vector = as_one_vector(learner)
    optimizer = make_optimizer(training.optimizer, vector.weights)
    adjust_learning_rate = make_schedule(training.scheduler, optimizer, epochs=training.epochs)
    best = BestWeights(training.early_stopping) if training.early_stopping else None
    batch_size = min(training.batch_size, capabilities.max_batch_size)
    history: list[EpochFinished] = []

    for epoch in range(1, training.epochs + 1):
        started = time.perf_counter()
        learning_rate = float(optimizer.param_groups[0]["lr"])
        order = balanced_order(train.symbols.values(), generator).to(capabilities.device)
        batches = list(batches_of(train, order, batch_size))

        def report_batch(number: int, epoch: int = epoch, total: int = len(batches)) -> None:
            progress_callback(BatchFinished(epoch=epoch, epochs=training.epochs, batch=number, batches=total))

        batch_losses, outputs = _train_epoch(
            batches,
            network=learner,
            gradient=vector.gradient,
            optimizer=optimizer,
            losses=losses,
            gradient_clip=training.gradient_clip,
            report_batch=report_batch,
            cancellation_token=cancellation_token,
        )
        train_loss = _mean_loss(batch_losses, [len(batch.targets) for batch in batches], epoch)
        validation_outputs = outputs_of(learner, validation.features)
        validation_loss = float(losses(validation_outputs, validation.targets).mean())
        if not math.isfinite(validation_loss):
            raise _not_finite("validation loss", validation_loss, f"epoch {epoch}, validation")
        finished = EpochFinished(
            epoch=epoch,
            epochs=training.epochs,
            train_loss=train_loss,
            validation_loss=validation_loss,
            train_accuracy=_accuracy(outputs, train.targets[order]),
            validation_accuracy=_accuracy(validation_outputs, validation.targets),
            learning_rate=learning_rate,
            seconds=time.perf_counter() - started,
            weights_digest=weights_digest(learner.state_dict()),
        )
        history.append(finished)
        progress_callback(finished)
        adjust_learning_rate(validation_loss)
        if best and best.is_time_to_stop(finished, vector.weights):
            break

    if best:
        vector.weights.data.copy_(best.weights)
    trained = copy.deepcopy(network).eval()
    trained.load_state_dict(learner.state_dict())
    return TrainedModel(trained, tuple(history), best.epoch if best else len(history), batch_size)


def _train_epoch(
    batches: Sequence[Batch],
    *,
    network: nn.Module,
    gradient: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    losses: SampleLosses,
    gradient_clip: float | None,
    report_batch: Callable[[int], None],
    cancellation_token: CancellationToken,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step per batch. Returns the loss of each batch, and the outputs that each sample got before its step."""
    batch_losses, outputs = [], []
    network.train()
    for number, batch in enumerate(batches, 1):
        if cancellation_token.is_cancellation_requested():
            raise TrainingCancelledError
        gradient.zero_()
        output = network(batch.features)
        sample_losses = losses(output, batch.targets)
        loss = (sample_losses if batch.weights is None else sample_losses * batch.weights).mean()
        torch.autograd.backward(loss)
        if gradient_clip is not None:
            clip_gradient(gradient, gradient_clip)
        optimizer.step()
        batch_losses.append(loss.detach())
        outputs.append(output.detach())
        report_batch(number)
    return torch.stack(batch_losses), torch.cat(outputs)


def _on_device(part: Part, device: str) -> Part:
    weights = None if part.weights is None else part.weights.to(device)
    return replace(part, features=part.features.to(device), targets=part.targets.to(device), weights=weights)


def _mean_loss(batch_losses: torch.Tensor, sizes: Sequence[int], epoch: int) -> float:
    """The mean over the samples; names the first batch whose loss is not finite."""
    broken = torch.isfinite(batch_losses).logical_not().nonzero()
    if len(broken):
        first = int(broken[0])
        where = f"epoch {epoch}, batch {first + 1} of {len(sizes)}"
        raise _not_finite("loss", float(batch_losses[first]), where)
    shares = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    return float((batch_losses.cpu().double() * shares).sum())


def _not_finite(what: str, value: float, where: str) -> TrainingFailedError:
    return TrainingFailedError(
        "loss_not_finite",
        f"the {what} became {value} in {where}",
        where=f"train_model, {where}",
        fix="lower training.learning_rate, set training.gradient_clip, or normalise the raw inputs",
    )


def _accuracy(outputs: torch.Tensor, targets: torch.Tensor) -> float | None:
    """The share of samples whose largest output is the right class; None where the target is a number."""
    if targets.is_floating_point():
        return None
    return int((outputs.argmax(dim=1) == targets).sum()) / len(targets)
