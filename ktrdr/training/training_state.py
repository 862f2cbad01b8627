"""All of a training that changes from epoch to epoch, and how it enters and leaves a checkpoint. Imports torch only."""

from __future__ import annotations

from collections.abc import Mapping
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
from ktrdr.training.progress import EpochFinished, TrainingFailedError
from ktrdr.training.strategy.model import Training
from ktrdr.training.weights import OneVector

#: The generator that draws the order of the samples, beside the global ones.
_ORDER = "order"


@dataclass(slots=True, kw_only=True)
class TrainingState:
    training: Training
    #: SHA-256 over what makes this training another one than others.
    identity: str
    seed: int
    #: Of the network, see `layout_of`.
    layout: Mapping[str, str]
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
        self._enter(finished)
        if self.training.early_stopping is not None:
            self.best = note_epoch(self.training.early_stopping, self.best, finished, self.vector.weights)

    def _enter(self, finished: EpochFinished) -> None:
        self.history.append(finished)
        self.learning_rate = next_rate(
            self.training.scheduler,
            self.training.optimizer.learning_rate,
            self.learning_rate,
            epoch=finished.epoch,
            epochs=self.training.epochs,
            validation_loss=finished.validation_loss,
        )

    def checkpoint(self) -> Checkpoint:
        """A copy that later epochs do not change."""
        return Checkpoint(
            training=self.identity,
            seed=self.seed,
            layout=self.layout,
            history=tuple(self.history),
            weights=_copy(self.vector.weights),
            optimizer={name: _copy(tensor) for name, tensor in self.optimizer.memory.items()},
            learning_rate=self.learning_rate,
            # The best weights are a copy already, which is replaced and never changed.
            best=None if self.best is None else replace(self.best, weights=self.best.weights.cpu()),
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
        self._remember(checkpoint)
        self.learning_rate = checkpoint.learning_rate
        best = checkpoint.best
        self.best = None if best is None else replace(best, weights=best.weights.to(self.device))
        self._draw_on(checkpoint)

    def fork(self, checkpoint: Checkpoint) -> None:
        """Begins where another training stood, with this one's settings.

        Weights and history are those of the checkpoint. The optimizer's memory is kept if it is an optimizer of the
        same kind. The learning rate is what this training's own schedule makes of the history. Early stopping begins
        with the next epoch, because losses under other settings cannot be compared. The generators go on drawing,
        unless this training has another seed: then they begin with that. So a fork that changes nothing but the
        number of epochs gives what a training of so many epochs gives (but with early stopping).

        Raises `TrainingFailedError` (`fork_does_not_fit`) when the weights are those of another network.
        """
        if differences := _differences(checkpoint.layout, self.layout):
            raise TrainingFailedError(
                "fork_does_not_fit",
                f"the weights of epoch {checkpoint.epoch} do not fit the changed strategy's network: {differences}",
                where="train_model",
                fix="fork without changes to inputs, architecture and labels that change the network, or train anew",
            )
        for finished in checkpoint.history:
            self._enter(finished)
        self.vector.weights.data.copy_(checkpoint.weights)
        memory = self.optimizer.memory
        if memory.keys() == checkpoint.optimizer.keys():
            self._remember(checkpoint)
        if checkpoint.seed == self.seed:
            self._draw_on(checkpoint)

    def _remember(self, checkpoint: Checkpoint) -> None:
        for name, tensor in self.optimizer.memory.items():
            tensor.copy_(checkpoint.optimizer[name])

    def _draw_on(self, checkpoint: Checkpoint) -> None:
        restore_generators(checkpoint.generators, self.device)
        self.order.set_state(checkpoint.generators[_ORDER])


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Where two layouts differ, for people; empty where they do not."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(f"{name} is {before.get(name, 'not there')}, now {now.get(name, 'not there')}" for name in names)


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True)
