"""What the events of a job add up to: `JobState`, and `evolve`, which folds one event in.

Imports the standard library only. `evolve` is total: it never raises, looks at no clock, and decides nothing, so every
history that was ever recorded can be folded for ever. Rules are in `ktrdr.jobs.decide`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

from ktrdr.jobs.events import (
    BatchProgressed,
    CancellationRequested,
    CheckpointSaved,
    EpochFinished,
    Instant,
    JobCancelled,
    JobClaimed,
    JobCompleted,
    JobFailed,
    JobId,
    JobRequeued,
    JobSubmitted,
    Json,
    LeaseExpired,
    Pruned,
    Recorded,
    Relation,
    RequeueReason,
    ServiceEvent,
    StageFinished,
    StageStarted,
    Target,
    TrainingResumed,
)

#: As many of the newest checkpoints are remembered: one that is damaged falls back to the one before.
CHECKPOINTS = 3


class Status(StrEnum):
    #: Waits for a worker. Left by a claim or a cancellation.
    QUEUED = "queued"
    #: A worker holds its lease. Left by the worker's last event, a cancellation request or a lost lease.
    RUNNING = "running"
    #: A cancellation was requested and the worker has not stopped yet. Left by JobCancelled only.
    CANCELLING = "cancelling"
    #: There is a model. Final.
    COMPLETED = "completed"
    #: There will be no model. Final.
    FAILED = "failed"
    #: Stopped on request. Final.
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class JobState:
    """A job at one version. The default is a job that does not exist yet (version 0).

    Every field is plain JSON, because projections store the state as it is. (Without slots: `evolve` copies the
    dictionary of fifty fields at once, which takes a tenth of the time of `dataclasses.replace`.)
    """

    job_id: JobId = JobId("")
    version: int = 0
    #: Position of the last event folded in.
    position: int = 0
    status: Status = Status.QUEUED
    name: str = ""
    symbols: tuple[str, ...] = ()
    timeframes: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None
    target: Target = Target.AUTO
    require_gpu: bool = False
    prefer_gpu: bool = False
    priority: int = 0
    share: str = ""
    seed: int = 0
    max_attempts: int = 1
    #: The job that this one repeats or goes on from, and how.
    parent: JobId | None = None
    relation: Relation | None = None
    #: The W3C trace of the request that submitted it.
    traceparent: str | None = None
    submitted_at: Instant | None = None
    #: First claim.
    started_at: Instant | None = None
    finished_at: Instant | None = None
    #: When the last event was recorded.
    updated_at: Instant | None = None
    #: Newest claim.
    claimed_at: Instant | None = None
    #: Who holds the lease; None while no one does.
    worker: str | None = None
    worker_kind: str | None = None
    #: The token under which the last lease was claimed, as events name it; empty where no token of its own was shown.
    claimed_with: str = ""
    #: Why a job that would rather have a GPU runs without one.
    fallback: str = ""
    attempt: int = 0
    #: Attempts that ended in a lost lease or a failure that may be tried again.
    attempts_spent: int = 0
    #: The last lease epoch given out.
    lease_epoch: int = 0
    #: The lease whose attempt goes on under the last one; None if that began an attempt of its own.
    continues: int | None = None
    #: The last lease that expired; None if none did.
    lost_lease: int | None = None
    #: Events of the attempt that its workers have reported, under whatever lease, so that a repetition is known.
    reported: int = 0
    stage: str | None = None
    stage_number: int = 0
    stage_total: int = 0
    epoch: int = 0
    epochs: int = 0
    batch: int = 0
    batches: int = 0
    #: The epoch of the checkpoint that the attempt went on from; 0 if it began at the start.
    resumed_from: int = 0
    #: The newest checkpoints, newest first: `{epoch, digest}` each.
    checkpoints: tuple[Json, ...] = ()
    train_loss: float | None = None
    validation_loss: float | None = None
    train_accuracy: float | None = None
    validation_accuracy: float | None = None
    #: Position and version of the cancellation request that is or was in force.
    cancellation_position: int | None = None
    cancellation_version: int | None = None
    cancelled_by: str | None = None
    cancel_reason: str | None = None
    cancel_outcome: str | None = None
    batches_after_request: int | None = None
    #: Why the job failed, or why the last attempt did.
    failure_kind: str | None = None
    failure_message: str | None = None
    failure_where: str | None = None
    failure_fix: str | None = None
    model_digest: str | None = None
    weights_digest: str | None = None
    metrics: Mapping[str, Any] | None = None
    symbol_metrics: Mapping[str, Any] | None = None
    epochs_trained: int | None = None
    best_epoch: int | None = None


NO_JOB = JobState()
_DEFAULTS: dict[str, Any] = vars(NO_JOB)
#: What a new attempt starts again.
_NOT_STARTED: dict[str, Any] = {
    name: getattr(NO_JOB, name)
    for name in (
        "stage", "stage_number", "stage_total", "epoch", "epochs", "batch", "batches", "resumed_from",
        "train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "reported",
    )
}  # fmt: skip
_RELEASED: dict[str, Any] = {"worker": None, "worker_kind": None}


def evolve(state: JobState, recorded: Recorded) -> JobState:
    """The state after one more event."""
    return _changed(
        state, _changes(state, recorded), version=recorded.version, position=recorded.position, updated_at=recorded.at
    )


def no_job(job_id: JobId) -> JobState:
    """The state before the first event of a job."""
    return _changed(NO_JOB, {"job_id": job_id})


def _changed(state: JobState, changes: Mapping[str, Any], **more: Any) -> JobState:
    after = object.__new__(JobState)
    vars(after).update(vars(state), **changes, **more)
    return after


def _changes(state: JobState, recorded: Recorded) -> dict[str, Any]:
    event = recorded.event
    match event:
        case JobSubmitted():
            return {
                "job_id": recorded.job_id,
                "status": Status.QUEUED,
                "name": event.name,
                "symbols": event.symbols,
                "timeframes": event.timeframes,
                "labels": event.labels,
                "target": event.target,
                "require_gpu": event.require_gpu,
                "prefer_gpu": event.prefer_gpu,
                "priority": event.priority,
                "share": event.share,
                "seed": event.seed,
                "max_attempts": event.max_attempts,
                "parent": event.parent,
                "relation": event.relation,
                "traceparent": event.traceparent,
                "checkpoints": () if event.starts_from is None else (event.starts_from,),
                "submitted_at": recorded.at,
            }
        case JobClaimed():
            claimed = {
                "status": Status.RUNNING,
                "started_at": state.started_at or recorded.at,
                "claimed_at": recorded.at,
                "worker": event.worker,
                "worker_kind": event.worker_kind,
                "claimed_with": recorded.actor if recorded.actor.startswith("token:") else "",
                "fallback": event.fallback,
                "attempt": event.attempt,
                "lease_epoch": event.lease_epoch,
                "continues": event.continues,
            }
            if event.continues is None:
                return _NOT_STARTED | claimed
            # The attempt that counted as lost was not.
            return claimed | {
                "attempts_spent": state.attempts_spent - 1, "failure_kind": None, "failure_message": None
            }  # fmt: skip
        case StageStarted() | StageFinished():
            return {
                "reported": state.reported + 1,
                "stage": event.name,
                "stage_number": event.number,
                "stage_total": event.total,
            }
        case BatchProgressed():
            return {
                "reported": state.reported + 1,
                "epoch": event.epoch,
                "epochs": event.epochs,
                "batch": event.batch,
                "batches": event.batches,
            }
        case EpochFinished():
            return {
                "reported": state.reported + 1,
                "epoch": event.epoch,
                "epochs": event.epochs,
                "batch": state.batches,
                "train_loss": event.train_loss,
                "validation_loss": event.validation_loss,
                "train_accuracy": event.train_accuracy,
                "validation_accuracy": event.validation_accuracy,
            }
        case Pruned():
            return {"reported": state.reported + 1}
        case CheckpointSaved():
            saved = {"epoch": event.epoch, "digest": event.digest}
            # A file that was written again is remembered once, else it would push out one to fall back on.
            others = [one for one in state.checkpoints if one != saved]
            return {"reported": state.reported + 1, "checkpoints": (saved, *others)[:CHECKPOINTS]}
        case TrainingResumed():
            return {"reported": state.reported + 1, "resumed_from": event.epoch, "epoch": event.epoch}
        case CancellationRequested():
            return {
                "status": Status.CANCELLING,
                "cancellation_position": recorded.position,
                "cancellation_version": recorded.version,
                "cancelled_by": event.by,
                "cancel_reason": event.reason,
            }
        case LeaseExpired():
            return _RELEASED | {"lost_lease": event.lease_epoch}
        case JobRequeued():
            spent = event.reason is not RequeueReason.RELEASED
            return _RELEASED | {
                "status": Status.QUEUED,
                "attempts_spent": state.attempts_spent + spent,
                "failure_kind": event.reason if spent else state.failure_kind,
                "failure_message": event.message if spent else state.failure_message,
            }
        case JobCancelled():
            return _RELEASED | {
                "status": Status.CANCELLED,
                "finished_at": recorded.at,
                "cancel_outcome": event.outcome,
                "batches_after_request": event.batches_after_request,
            }
        case JobFailed():
            return _RELEASED | {
                "status": Status.FAILED,
                "finished_at": recorded.at,
                "failure_kind": event.kind,
                "failure_message": event.message,
                "failure_where": event.where,
                "failure_fix": event.fix,
            }
        case JobCompleted():
            return _RELEASED | {
                "status": Status.COMPLETED,
                "finished_at": recorded.at,
                "failure_kind": None,
                "failure_message": None,
                "model_digest": event.model_digest,
                "weights_digest": event.weights_digest,
                "metrics": event.metrics,
                "symbol_metrics": event.symbol_metrics,
                "epochs_trained": event.epochs_trained,
                "best_epoch": event.best_epoch,
            }
        case ServiceEvent():  # of no job
            return {}
        case _:
            assert_never(event)


def fold(history: Iterable[Recorded], state: JobState = NO_JOB) -> JobState:
    """The state after a history of one job, oldest event first."""
    for recorded in history:
        state = evolve(state, recorded)
    return state


def state_data(state: JobState) -> dict[str, Any]:
    """The state as plain data, without what is as in a job that does not exist yet."""
    return {name: value for name, value in vars(state).items() if value != _DEFAULTS[name]}


#: Fields whose JSON is not their value.
_READ: dict[str, Callable[[Any], Any]] = {
    "status": Status,
    "target": Target,
    "relation": Relation,
    "symbols": tuple,
    "timeframes": tuple,
    "checkpoints": tuple,
}


def state_from_data(data: Mapping[str, Any]) -> JobState:
    """The state that `state_data` gave, after a journey through JSON."""
    return _changed(NO_JOB, {name: _READ[name](value) if name in _READ else value for name, value in data.items()})
