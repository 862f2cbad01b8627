"""Every fact that can be recorded about a job, as typed immutable values named in the past tense.

Imports the standard library only. Fields hold plain JSON values, so that an event and its stored form are one thing.
A field is never removed or given another meaning after a release: raise `SCHEMA` of its type and add an upcaster in
`ktrdr.jobs.codec` instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, NewType

JobId = NewType("JobId", str)
#: Place in the one log of all jobs: 1, 2, 3, … without gaps, in the order of commit.
Position = NewType("Position", int)
#: A moment as `2026-11-24T09:30:00.000000Z`: always UTC, always this width, so that text order is time order.
Instant = NewType("Instant", str)

Json = Mapping[str, Any]


class Target(StrEnum):
    #: A worker beside the database.
    LOCAL = "local"
    #: A worker that talks HTTP, usually on another machine.
    HOST = "host"
    #: Whichever asks first.
    AUTO = "auto"


class RequeueReason(StrEnum):
    #: The worker stopped renewing its lease; spends an attempt.
    LEASE_EXPIRED = "lease_expired"
    #: The attempt broke in a way that another may not (a crash, memory, the network); spends an attempt.
    ATTEMPT_FAILED = "attempt_failed"
    #: The worker was told to stop and gave the job back; spends nothing.
    RELEASED = "released"


class Relation(StrEnum):
    #: The same training once more.
    RETRY = "retry"
    #: Another training that goes on from an epoch of this one.
    FORK = "fork"
    #: The same training with one thing as in another one, to see what it does.
    COUNTERFACTUAL = "counterfactual"


class CancelOutcome(StrEnum):
    #: Cancelled in the queue.
    NOT_STARTED = "not_started"
    #: The training stopped itself between two stages or batches.
    STOPPED = "stopped"
    #: The training did not react and its process was ended.
    KILLED = "killed"
    #: The training had finished when the request was seen; the model was discarded.
    FINISHED_FIRST = "finished_first"
    #: The training broke after the request.
    FAILED = "failed"
    #: The worker was lost after the request.
    WORKER_LOST = "worker_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSubmitted:
    """Someone asked for a training; this is all that defines it."""

    SCHEMA: ClassVar[int] = 2
    #: The strategy's name, for people and filters.
    name: str
    #: The resolved strategy: every default filled in, the submission's own values applied.
    strategy: Json
    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    #: First and last moment of the data, as the strategy says them; None = all there is.
    start: Instant | None
    end: Instant | None
    #: The exact price data: `{symbol, timeframe, digest}` each, digest = SHA-256 of the stored bytes.
    prices: tuple[Json, ...]
    #: The exact data of the context series: `{name, digest}` each.
    context: tuple[Json, ...]
    seed: int
    target: Target
    #: Only a worker with a GPU may run it; the job fails if there is none.
    require_gpu: bool
    #: A worker with a GPU shall run it if one is free; another one says why it did not.
    prefer_gpu: bool
    #: Higher runs first; equal priorities take turns by share, and run in the order of submission within one.
    priority: int
    #: Whose turn the job counts as: `desk=rates` where the service is fair by the label `desk`, otherwise empty.
    share: str
    labels: Mapping[str, str]
    #: How often the job may be tried before it counts as failed.
    max_attempts: int
    #: How often a checkpoint is saved: `{every_epochs, every_seconds}`, None for never.
    checkpoints: Json
    #: The job that this one repeats or goes on from, and how.
    parent: JobId | None
    relation: Relation | None
    #: The checkpoint to begin with, if it can be used: `{epoch, digest}`; None = from the start.
    starts_from: Json | None
    #: The checkpoint of another training that this one goes on from with changes: `{epoch, digest}`; None = it begins
    #: with new weights. Part of what the training is, so a retry of a fork has it too.
    forked_from: Json | None
    #: What the strategy file says without effect.
    warnings: tuple[str, ...]
    idempotency_key: str | None
    #: SHA-256 of the request's content, to tell a repeated submission from another under the same key.
    request_digest: str
    #: The version of ktrdr that accepted it.
    code_version: str
    #: The W3C trace that the request was part of; None where schema 1 recorded it, or nobody asked over HTTP.
    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClaimed:
    """A worker took the job under a lease."""

    SCHEMA: ClassVar[int] = 1
    worker: str
    #: `local` or `host`.
    worker_kind: str
    #: 1 for the first try; the same number again when the one before was released rather than spent.
    attempt: int
    #: Rises with every claim: an append that carries an older one is refused (fencing).
    lease_epoch: int
    #: What the worker can compute with (DeviceCapabilities as plain data).
    capabilities: Json
    #: What else can change the bits of a result: torch, CPU instruction set, threads, …
    numeric_profile: Json
    #: Why a job that would rather have a GPU was given to a worker without one; empty where nothing was given up.
    fallback: str
    #: The lease whose attempt goes on: its worker was cut off, came back and found the job still in the queue.
    continues: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted:
    SCHEMA: ClassVar[int] = 1
    name: str
    #: `number` of `total`, from 1.
    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinished:
    SCHEMA: ClassVar[int] = 1
    name: str
    number: int
    total: int
    seconds: float
    #: What the stage found: rows, columns, digests, class counts, …
    facts: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgressed:
    """How far the epoch under way is; at most one per 300 ms, so it is a sample and not a count."""

    SCHEMA: ClassVar[int] = 1
    epoch: int
    epochs: int
    batch: int
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochFinished:
    SCHEMA: ClassVar[int] = 2
    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float
    #: Shares of right classes; None for regression.
    train_accuracy: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    #: SHA-256 over the canonical bytes of the weights.
    weights_digest: str
    #: Four characters (24 bits as base64) of each tensor's own digest, in the order of their names: which one differs.
    #: Empty where schema 1 recorded it.
    tensors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved:
    """What the training needs to go on after this epoch is on the service's disk."""

    SCHEMA: ClassVar[int] = 1
    epoch: int
    #: SHA-256 of the file.
    digest: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResumed:
    """The attempt goes on from a checkpoint, as if the epochs up to it were its own."""

    SCHEMA: ClassVar[int] = 1
    #: The last epoch that is not trained again; 0 where no checkpoint could be used.
    epoch: int
    #: Of the checkpoint; None where no checkpoint could be used.
    digest: str | None
    #: Newer checkpoints that could not be used: `{epoch, digest, problem}` each.
    passed_over: tuple[Json, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationRequested:
    SCHEMA: ClassVar[int] = 1
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCancelled:
    """The end of a cancelled job, with the receipt: which request was honoured and what still ran after it."""

    SCHEMA: ClassVar[int] = 1
    #: Version, within the job, of the CancellationRequested event that was seen.
    request_version: int
    outcome: CancelOutcome
    #: Batches that began after the request was recorded; None where no one could count.
    batches_after_request: int | None
    #: Stage, epoch or batch at which the training stopped; empty if it never ran.
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseExpired:
    """The worker did not renew its lease in time and counts as lost."""

    SCHEMA: ClassVar[int] = 1
    worker: str
    lease_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequeued:
    SCHEMA: ClassVar[int] = 1
    reason: RequeueReason
    #: What went wrong, for people.
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed:
    SCHEMA: ClassVar[int] = 1
    #: A short identifier to group by: `no_samples`, `loss_not_finite`, `worker_lost`, …
    kind: str
    message: str
    #: Stage, epoch, batch or symbol.
    where: str
    #: What the user can do; may be empty.
    fix: str
    #: Whether the same job, submitted again, could succeed.
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted:
    SCHEMA: ClassVar[int] = 1
    #: SHA-256 of the model's SHA256SUMS file.
    model_digest: str
    weights_digest: str
    metrics: Json
    #: symbol → the same metrics over that symbol's part of the test data.
    symbol_metrics: Json
    epochs_trained: int
    best_epoch: int


JobEvent = (
    JobSubmitted
    | JobClaimed
    | StageStarted
    | StageFinished
    | BatchProgressed
    | EpochFinished
    | CheckpointSaved
    | TrainingResumed
    | CancellationRequested
    | JobCancelled
    | LeaseExpired
    | JobRequeued
    | JobFailed
    | JobCompleted
)


class ServiceEvent:
    """A fact about the service itself rather than one job (`ktrdr.jobs.service.events`)."""

    __slots__ = ()
    SCHEMA: ClassVar[int]


#: What a worker may say of its work while it lasts.
ProgressEvent = StageStarted | StageFinished | BatchProgressed | EpochFinished | CheckpointSaved | TrainingResumed
#: What may be emptied once the job has ended: how it went, and nothing that decides anything.
PrunableEvent = StageStarted | StageFinished | BatchProgressed | EpochFinished
#: Events after which nothing more is recorded of the job.
TerminalEvent = JobCompleted | JobFailed | JobCancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What is left of an event whose content was removed: that there was one. Its leaf hash still commits to it.

    It is read and never recorded, so it is no JobEvent.
    """

    #: Of the event that it was: one of PrunableEvent.
    type: str
    schema: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An event with the envelope that the log gave it."""

    position: Position
    #: Of the job; of a service event, the id of its subject (`token:ci`).
    job_id: JobId
    #: 1, 2, 3, … within the job or subject, without gaps.
    version: int
    #: When the log recorded it.
    at: Instant
    #: Who caused it: `client:…`, `worker:…`, `scheduler`.
    actor: str
    event: JobEvent | ServiceEvent | Pruned
