"""What a worker and its job process say to each other, over one pipe. Imports jobs and training's progress only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ktrdr.jobs.events import CancelOutcome
from ktrdr.training.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The job process has imported everything and waits for work."""

    capabilities: Mapping[str, Any]
    numeric_profile: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """One job to run: what JobSubmitted says of it, and where its files are."""

    job_id: str
    strategy: Mapping[str, Any]
    #: `{symbol, timeframe, digest}` each.
    prices: tuple[Mapping[str, Any], ...]
    #: `{name, digest}` each.
    context: tuple[Mapping[str, Any], ...]
    seed: int
    #: Folder with the price data and the context series, one `<digest>.npy` each.
    price_folder: Path
    #: Where the model shall appear; does not exist yet.
    output: Path
    #: What the training may go on from, the best first: `{epoch, digest}` each.
    checkpoints: tuple[Mapping[str, Any], ...]
    #: Which of them, if any, is of another job, whose training this one goes on from with changes.
    fork_digest: str | None
    #: Folder with the checkpoints to go on from, one `<digest>.safetensors` each.
    checkpoint_folder: Path
    #: Folder in which new checkpoints shall appear, on the same file system as the service's or the host's own.
    drop_folder: Path
    #: How often a checkpoint is saved; None for never.
    every_epochs: int | None
    every_seconds: float | None
    #: What each line that the process logs about the job says of it.
    log_fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """A cancellation was requested: for a process that cannot look into the log itself."""

    #: By this machine's steady clock (time.monotonic); None if that cannot be known.
    requested_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointWritten:
    """A checkpoint lies in `file`, whole and synced, for the worker to take."""

    epoch: int
    #: SHA-256 of the file.
    digest: str
    bytes: int
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The model lies in `output`."""

    model_digest: str
    weights_digest: str
    metrics: Mapping[str, Any]
    symbol_metrics: Mapping[str, Any]
    epochs_trained: int
    best_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The training saw the cancellation and stopped."""

    #: Batches that began after the request was recorded; None where the process could not say any more.
    batches_after_request: int | None
    where: str
    outcome: CancelOutcome = CancelOutcome.STOPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Broke:
    """The training ended without a model."""

    kind: str
    message: str
    where: str
    fix: str
    #: Whether another attempt could end better.
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """The training stopped because its process was told to; what it had is in a checkpoint that was told before."""


Ended = Trained | Stopped | Broke | Paused
Said = Progress | CheckpointWritten
FromChild = Ready | Said | Ended
ToChild = Train | Cancel
