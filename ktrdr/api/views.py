"""Jobs and events as the API shows them: typed plain data, from which the OpenAPI document is made too.

Imports jobs. The grouping is for readers: what a job is, how far it is, and how it ended.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11

from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import JobSubmitted
from ktrdr.jobs.state import JobState, Status
from ktrdr.store.reader import StoredEvent


class Progress(TypedDict):
    #: The epoch of the checkpoint that the attempt went on from; 0 if it began at the start.
    resumed_from: int
    stage: str | None
    stage_number: int
    stage_total: int
    epoch: int
    epochs: int
    batch: int
    batches: int
    train_loss: float | None
    validation_loss: float | None
    train_accuracy: float | None
    validation_accuracy: float | None


class Cancellation(TypedDict):
    requested_by: str | None
    reason: str | None
    #: Position and version of the request in the log.
    request_position: int
    request_version: int | None
    outcome: str | None
    batches_after_request: int | None


class Failure(TypedDict):
    kind: str
    message: str | None
    where: str | None
    fix: str | None


class Result(TypedDict):
    model_digest: str
    weights_digest: str | None
    metrics: dict[str, Any] | None
    symbol_metrics: dict[str, Any] | None
    epochs_trained: int | None
    best_epoch: int | None


class JobView(TypedDict):
    id: str
    status: str
    name: str
    symbols: list[str]
    timeframes: list[str]
    labels: dict[str, str]
    target: str
    require_gpu: bool
    prefer_gpu: bool
    priority: int
    #: Whose turn it counts as, where the service is fair by a label: `desk=rates`; otherwise empty.
    share: str
    seed: int
    submitted_at: str | None
    started_at: str | None
    finished_at: str | None
    updated_at: str | None
    #: How many events the job has, and the position of the newest.
    version: int
    position: int
    worker: str | None
    #: Why it was given to a worker without a GPU although it would rather have one; otherwise empty.
    fallback: str
    attempt: int
    max_attempts: int
    #: The job that this one repeats (`retry`), goes on from with changes (`fork`), or repeats with one thing as in
    #: another one (`counterfactual`); and which of these.
    parent: str | None
    relation: str | None
    #: Of the W3C trace that the request which submitted it was part of; None where none is known.
    trace_id: str | None
    #: What another attempt would go on from: `{epoch, digest}`.
    checkpoint: dict[str, Any] | None
    progress: Progress
    cancellation: Cancellation | None
    #: Why the job failed; of a job that goes on, why its last attempt did.
    failure: Failure | None
    result: Result | None


class CheckpointView(TypedDict):
    epoch: int
    #: SHA-256 of the file.
    digest: str
    bytes: int


class CheckpointPage(TypedDict):
    checkpoints: list[CheckpointView]


class SubmissionView(TypedDict):
    strategy: dict[str, Any]
    prices: list[dict[str, Any]]
    context: list[dict[str, Any]]
    start: str | None
    end: str | None
    #: How often a checkpoint is saved: `{every_epochs, every_seconds}`, None for never.
    checkpoints: dict[str, Any]
    #: The checkpoint to begin with, and the one of another training that this one goes on from: `{epoch, digest}`.
    starts_from: dict[str, Any] | None
    forked_from: dict[str, Any] | None
    warnings: list[str]
    idempotency_key: str | None
    code_version: str


class JobDetail(JobView):
    #: Why it is in the queue still, in words; None once it is not, and for a moment of the past.
    waiting: str | None
    submission: SubmissionView


class JobPage(TypedDict):
    jobs: list[JobView]
    #: The position that the list is as of; None for the present.
    as_of: int | None
    #: Give it as `cursor` for the next page; None on the last.
    next_cursor: str | None


class EventView(TypedDict):
    position: int
    job_id: str
    version: int
    type: str
    schema: int
    recorded_at: str
    actor: str
    #: What happened, by type; None where it was pruned from the log after the job had ended.
    data: dict[str, Any] | None


class EventPage(TypedDict):
    events: list[EventView]
    #: Give it as `after` for what follows.
    last_position: int


def job_view(state: JobState) -> JobView:
    """A job as lists and the job's own page show it."""
    return JobView(
        id=state.job_id,
        status=state.status,
        name=state.name,
        symbols=list(state.symbols),
        timeframes=list(state.timeframes),
        labels=dict(state.labels or {}),
        target=state.target,
        require_gpu=state.require_gpu,
        prefer_gpu=state.prefer_gpu,
        priority=state.priority,
        share=state.share,
        seed=state.seed,
        submitted_at=state.submitted_at,
        started_at=state.started_at,
        finished_at=state.finished_at,
        updated_at=state.updated_at,
        version=state.version,
        position=state.position,
        worker=state.worker,
        fallback=state.fallback,
        attempt=state.attempt,
        max_attempts=state.max_attempts,
        parent=state.parent,
        relation=state.relation,
        trace_id=state.traceparent and state.traceparent[3:35],
        checkpoint=dict(state.checkpoints[0]) if state.checkpoints else None,
        progress=Progress(
            resumed_from=state.resumed_from,
            stage=state.stage,
            stage_number=state.stage_number,
            stage_total=state.stage_total,
            epoch=state.epoch,
            epochs=state.epochs,
            batch=state.batch,
            batches=state.batches,
            train_loss=state.train_loss,
            validation_loss=state.validation_loss,
            train_accuracy=state.train_accuracy,
            validation_accuracy=state.validation_accuracy,
        ),
        cancellation=_cancellation(state),
        failure=_failure(state),
        result=_result(state),
    )


def job_detail(state: JobState, submitted: JobSubmitted, *, waiting: str | None) -> JobDetail:
    """A job with everything that it was submitted with, and why it waits if it does."""
    return JobDetail(
        **job_view(state),
        waiting=waiting,
        submission=SubmissionView(
            strategy=dict(submitted.strategy),
            prices=[dict(price) for price in submitted.prices],
            context=[dict(series) for series in submitted.context],
            start=submitted.start,
            end=submitted.end,
            checkpoints=dict(submitted.checkpoints),
            starts_from=dict(submitted.starts_from) if submitted.starts_from else None,
            forked_from=dict(submitted.forked_from) if submitted.forked_from else None,
            warnings=list(submitted.warnings),
            idempotency_key=submitted.idempotency_key,
            code_version=submitted.code_version,
        ),
    )


def event_text(event: StoredEvent) -> str:
    """An event as JSON text; its data is stored as JSON (empty where it was pruned), so it is not read again."""
    return (
        f'{{"position":{event.position},"job_id":"{event.job_id}","version":{event.version},"type":"{event.type}",'
        f'"schema":{event.schema},"recorded_at":"{event.recorded_at}","actor":{dumps(event.actor)},'
        f'"data":{event.data or "null"}}}'
    )


def _cancellation(state: JobState) -> Cancellation | None:
    if state.cancellation_position is None:
        return None
    return Cancellation(
        requested_by=state.cancelled_by,
        reason=state.cancel_reason,
        request_position=state.cancellation_position,
        request_version=state.cancellation_version,
        outcome=state.cancel_outcome,
        batches_after_request=state.batches_after_request,
    )


def _failure(state: JobState) -> Failure | None:
    if state.failure_kind is None:
        return None
    return Failure(
        kind=state.failure_kind, message=state.failure_message, where=state.failure_where, fix=state.failure_fix
    )


def _result(state: JobState) -> Result | None:
    if state.status is not Status.COMPLETED or state.model_digest is None:
        return None
    return Result(
        model_digest=state.model_digest,
        weights_digest=state.weights_digest,
        metrics=dict(state.metrics or {}),
        symbol_metrics=dict(state.symbol_metrics or {}),
        epochs_trained=state.epochs_trained,
        best_epoch=state.best_epoch,
    )
