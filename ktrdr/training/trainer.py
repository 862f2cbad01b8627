"""The training loop. Imports torch only.

The data lies in one tensor on the device, of which an epoch puts some batches in order at a time. Nothing inside the
loop waits for an accelerator (`.item()` would).
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from ktrdr.training.backpropagation import Backpropagation, backpropagation
from ktrdr.training.checkpoint import Checkpoint
from ktrdr.training.dataset import Part
from ktrdr.training.determinism import seed_everything
from ktrdr.training.device_manager import DeviceCapabilities
from ktrdr.training.losses import SampleLosses
from ktrdr.training.models import outputs_of
from ktrdr.training.optimization import LearningRate, clip_gradient, make_optimizer
from ktrdr.training.progress import (
    BatchFinished,
    CancellationToken,
    EpochFinished,
    ProgressCallback,
    TrainingCancelledError,
    TrainingFailedError,
)
from ktrdr.training.resuming import Origin, begin, fork_of
from ktrdr.training.sampling import balanced_order, batches_of
from ktrdr.training.strategy.model import Training
from ktrdr.training.training_state import TrainingState
from ktrdr.training.weights import as_one_vector, layout_of, weight_digests, weights_digest

#: Called after every epoch with its number and a function that gives the checkpoint, if it is wanted: a copy of all
#: weights is made only then.
CheckpointCallback = Callable[[int, Callable[[], Checkpoint]], None]


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
    origins: Sequence[Origin] = (),
    checkpoint_callback: CheckpointCallback | None = None,
) -> TrainedModel:
    """Trains a copy of `network`; the one given stays as it is.

    With origins the training goes on after the epoch of the first one that can be used, which it reports, and gives,
    bit for bit, what it would have given without a break; only the epochs that are still to come are reported.

    Raises `TrainingCancelledError` before the next batch once the token says so, and `TrainingFailedError` at the batch
    whose loss is not a finite number (on an accelerator some batches later, but naming it), or when the training is a
    fork that cannot begin.
    """
    device = capabilities.device
    batch_size = min(training.batch_size, capabilities.max_batch_size)
    seed_everything(seed)  # Dropout draws from the global generator.
    learner = copy.deepcopy(network).to(device)
    vector = as_one_vector(learner)
    state = TrainingState(
        training=training,
        identity=_identity(network, train, validation, training, seed, batch_size, fork_of(origins)),
        seed=seed,
        layout=layout_of(network),
        device=device,
        vector=vector,
        optimizer=make_optimizer(training.optimizer, vector),
        order=torch.Generator().manual_seed(seed),
        learning_rate=LearningRate(training.optimizer.learning_rate),
    )
    if origins:
        progress_callback(begin(state, origins))
    train, validation = _on_device(train, device), _on_device(validation, device)

    while not state.is_over:
        started = time.perf_counter()
        epoch = len(state.history) + 1
        order = balanced_order(train.symbols.values(), state.order).to(device)
        learner.train()
        train_loss, outputs = _train_epoch(
            train,
            order,
            batch_size,
            state,
            learn=backpropagation(learner, vector, losses),
            progress_callback=progress_callback,
            cancellation_token=cancellation_token,
        )
        validation_outputs = outputs_of(learner, validation.features)
        validation_loss = float(losses(validation_outputs, validation.targets).mean())
        if not math.isfinite(validation_loss):
            raise _not_finite("validation loss", validation_loss, f"epoch {epoch}, validation")
        digests = weight_digests(learner.state_dict())
        finished = EpochFinished(
            epoch=epoch,
            epochs=training.epochs,
            train_loss=train_loss,
            validation_loss=validation_loss,
            train_accuracy=_accuracy(outputs, train.targets[order]),
            validation_accuracy=_accuracy(validation_outputs, validation.targets),
            learning_rate=state.learning_rate.rate,
            seconds=time.perf_counter() - started,
            weights_digest=digests.weights,
            tensors=digests.tensors,
        )
        state.note(finished)
        progress_callback(finished)
        if checkpoint_callback is not None:
            checkpoint_callback(epoch, state.checkpoint)

    if state.best is not None:
        vector.weights.data.copy_(state.best.weights)
    trained = copy.deepcopy(network).eval()
    trained.load_state_dict(learner.state_dict())
    return TrainedModel(trained, tuple(state.history), state.best_epoch, batch_size)


def _train_epoch(
    train: Part,
    order: torch.Tensor,
    batch_size: int,
    state: TrainingState,
    *,
    learn: Backpropagation,
    progress_callback: ProgressCallback,
    cancellation_token: CancellationToken,
) -> tuple[float, torch.Tensor]:
    """One step per batch. Returns the mean loss, and the outputs that each sample got before its step."""
    epoch, epochs = len(state.history) + 1, state.training.epochs
    batches = math.ceil(len(order) / batch_size)
    rate, gradient_clip = state.learning_rate.rate, state.training.gradient_clip
    at_once = _batches_per_look(state.device)
    outputs: list[torch.Tensor] = []
    unseen: list[torch.Tensor] = []
    total_loss = 0.0
    for number, batch in enumerate(batches_of(train, order, batch_size), 1):
        if cancellation_token.is_cancellation_requested():
            raise TrainingCancelledError
        batch_loss, output = learn(batch)
        if gradient_clip is not None:
            clip_gradient(state.vector.gradient, gradient_clip)
        state.optimizer.step(rate)
        outputs.append(output)
        unseen.append(batch_loss)
        if len(unseen) == at_once or number == batches:
            for which, seen in enumerate(map(float, unseen), number - len(unseen) + 1):
                if not math.isfinite(seen):
                    raise _not_finite("loss", seen, f"epoch {epoch}, batch {which} of {batches}")
                total_loss += seen
            unseen.clear()
        progress_callback(BatchFinished(epoch=epoch, epochs=epochs, batch=number, batches=batches))
    return total_loss / len(order), torch.cat(outputs)


def _batches_per_look(device: str) -> int:
    """How many losses are looked at together: an accelerator would have to stop for each look."""
    return 1 if device == "cpu" else 64


def _identity(network: nn.Module, train: Part, validation: Part, *settings: object) -> str:
    """SHA-256 over what makes a training another one, as far as it can be had without reading all of the data."""
    shapes = [tuple(part.features.shape) for part in (train, validation)]
    return hashlib.sha256(repr((settings, shapes, weights_digest(network.state_dict()))).encode()).hexdigest()


def _on_device(part: Part, device: str) -> Part:
    weights = None if part.weights is None else part.weights.to(device)
    return replace(part, features=part.features.to(device), targets=part.targets.to(device), weights=weights)


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
