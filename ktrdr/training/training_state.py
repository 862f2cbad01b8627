"""All of a training that changes from epoch to epoch, and how it enters and leaves a checkpoint. Imports torch only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

from ktrdr.training.checkpoint import Checkpoint, CheckpointError
from ktrdr.training.determinism import generator_states, restore_generators
from ktrdr.training.optimization import (
    Best,
    LearningRate,
    WeightOptimizer,
    is_time_to_stop,
    next_rate,
    note_epoch,
)
from ktrdr.training.progress import EpochFinished
from ktrdr.training.strategy.model import Training
from ktrdr.training.weights import OneVector

#: The generator that draws the order of the samples, beside the global ones.
_ORDER = "order"


@dataclass(slots=True, kw_only=True)
class TrainingState:
    training: Training
    #: SHA-256 over what makes this training another one than others.
    identity: str
    device: str
    vector: OneVector
    optimizer: WeightOptimizer
    #: Draws the order of the samples.
    order: torch.Generator
    learning_rate: LearningRate
    #: Only with early stopping.
    best: Best | None = None
    history: list[EpochFinished] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        stopping = self.training.early_stopping
        is_early = stopping is not None and is_time_to_stop(stopping, self.best)
        return is_early or len(self.history) >= self.training.epochs

    @property
    def best_epoch(self) -> int:
        return len(self.history) if self.best is None else self.best.epoch

    def note(self, finished: EpochFinished) -> None:
        """Takes note of an epoch, the next one after those in the history."""
        self.history.append(finished)
        self.learning_rate = next_rate(
            self.training.scheduler,
            self.training.optimizer.learning_rate,
            self.learning_rate,
            epoch=finished.epoch,
            epochs=self.training.epochs,
            validation_loss=finished.validation_loss,
        )
        if self.training.early_stopping is not None:
            self.best = note_epoch(self.training.early_stopping, self.best, finished, self.vector.weights)

    def checkpoint(self) -> Checkpoint:
        """A copy that later epochs do not change."""
        return Checkpoint(
            training=self.identity,
            history=tuple(self.history),
            weights=_copy(self.vector.weights),
            optimizer={name: _copy(tensor) for name, tensor in self.optimizer.memory.items()},
            learning_rate=self.learning_rate,
            best=None if self.best is None else replace(self.best, weights=_copy(self.best.weights)),
            generators={**generator_states(self.device), _ORDER: self.order.get_state()},
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Raises `CheckpointError` when the checkpoint is of another training."""
        if checkpoint.training != self.identity:
            raise CheckpointError(
                f"the checkpoint is of the training {checkpoint.training[:12]}, not of {self.identity[:12]}: its "
                "settings, seed, first weights, numbers of samples or batch size are others"
            )
        self.history = list(checkpoint.history)
        self.vector.weights.data.copy_(checkpoint.weights)
        for name, tensor in self.optimizer.memory.items():
            tensor.copy_(checkpoint.optimizer[name])
        self.learning_rate = checkpoint.learning_rate
        best = checkpoint.best
        self.best = None if best is None else replace(best, weights=best.weights.to(self.device))
        restore_generators(checkpoint.generators, self.device)
        self.order.set_state(checkpoint.generators[_ORDER])


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().clone()
