"""What a training says of itself while it runs, and how it is told to stop. Imports the standard library only.

The trainer and the run report these values to a callback; whoever called decides how they travel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted:
    name: str
    #: 1-based, of `total` stages.
    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinished:
    name: str
    number: int
    total: int
    seconds: float
    #: What the stage found: rows, columns, digests, class counts. Plain JSON values.
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFinished:
    """Batch `batch` of `batches` in epoch `epoch` of `epochs`, all counted from 1."""

    epoch: int
    epochs: int
    batch: int
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochFinished:
    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float
    #: Shares of right classes; None for regression.
    train_accuracy: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    #: SHA-256 over the canonical bytes of the weights after this epoch (see `ktrdr.training.weights`).
    weights_digest: str
    #: Four characters (24 bits as base64) of each tensor's own digest, in the order of their names.
    tensors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The training goes on from a checkpoint, or could not; told before the first batch."""

    #: The last epoch that is not trained again; 0 where no checkpoint could be used.
    epoch: int
    #: SHA-256 of the checkpoint's file; None where no checkpoint could be used.
    digest: str | None
    #: Better ones that could not be used: `{epoch, digest, problem}` each.
    passed_over: tuple[Mapping[str, object], ...]


Progress = StageStarted | StageFinished | BatchFinished | EpochFinished | Resumed
ProgressCallback = Callable[[Progress], None]


class CancellationToken(Protocol):
    """Looked at before each stage and before each batch; a look must cost microseconds."""

    def is_cancellation_requested(self) -> bool: ...


class TrainingCancelledError(Exception):
    """The cancellation token asked the training to stop; nothing was saved."""


class TrainingFailedError(Exception):
    """The training cannot give a model, and trying again would not help.

    `kind` is a short identifier (`no_samples`, `loss_not_finite`, `price_data`), `where` names the stage, epoch and
    batch or symbol, `fix` says what the user can do.
    """

    def __init__(self, kind: str, message: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.where = where
        self.fix = fix
