"""Valid values of every kind of event, for tests to vary with `dataclasses.replace`, and histories made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import (
    BatchProgressed,
    CancellationRequested,
    CancelOutcome,
    CheckpointSaved,
    EpochFinished,
    Instant,
    JobCancelled,
    JobClaimed,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobId,
    JobRequeued,
    JobSubmitted,
    LeaseExpired,
    Position,
    Recorded,
    RequeueReason,
    StageFinished,
    StageStarted,
    Target,
    TrainingResumed,
)
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.state import NO_JOB, JobState, fold

NOON = Instant("2026-11-24T12:00:00.000000Z")

SUBMITTED = JobSubmitted(
    name="trend",
    strategy={"name": "trend", "indicators": [{"rsi": 14}]},
    symbols=("AAPL", "MSFT"),
    timeframes=("1h",),
    start=None,
    end=NOON,
    prices=({"symbol": "AAPL", "timeframe": "1h", "digest": "a" * 64},),
    context=(),
    seed=7,
    target=Target.AUTO,
    require_gpu=False,
    prefer_gpu=False,
    priority=0,
    share="",
    labels={"desk": "rates"},
    max_attempts=3,
    checkpoints={"every_epochs": None, "every_seconds": 30},
    parent=None,
    relation=None,
    starts_from=None,
    forked_from=None,
    warnings=(),
    idempotency_key=None,
    request_digest="b" * 64,
    code_version="0.1.0",
    traceparent=None,
)
CLAIMED = JobClaimed(
    worker="w1",
    worker_kind="local",
    attempt=1,
    lease_epoch=1,
    capabilities={"device_type": "cpu"},
    numeric_profile={},
    fallback="",
    continues=None,
)
STARTED = StageStarted(name="train_model", number=9, total=11)
BATCH = BatchProgressed(epoch=1, epochs=2, batch=3, batches=10)
EPOCH = EpochFinished(
    epoch=1,
    epochs=2,
    train_loss=0.9,
    validation_loss=0.8,
    train_accuracy=0.5,
    validation_accuracy=None,
    learning_rate=0.001,
    seconds=1.5,
    weights_digest="c" * 64,
    tensors="c" * 32,
)
CHECKPOINT = CheckpointSaved(epoch=1, digest="d" * 64, bytes=1000)
FINISHED = StageFinished(name="train_model", number=9, total=11, seconds=2.5, facts={"rows": 100})
RESUMED = TrainingResumed(
    epoch=1, digest="d" * 64, passed_over=({"epoch": 2, "digest": "0" * 64, "problem": "it is torn"},)
)
REQUESTED = CancellationRequested(by="client:anna", reason="wrong symbol")
CANCELLED = JobCancelled(
    request_version=3, outcome=CancelOutcome.STOPPED, batches_after_request=1, where="epoch 1, batch 4"
)
EXPIRED = LeaseExpired(worker="w1", lease_epoch=1)
REQUEUED = JobRequeued(reason=RequeueReason.LEASE_EXPIRED, message="worker w1 did not renew its lease")
BROKEN = JobFailed(kind="bad_data", message="no rows", where="load_price_data", fix="import data", retryable=False)
CRASHED = replace(BROKEN, kind="crashed", message="the process ended by signal 11", retryable=True)
COMPLETED = JobCompleted(
    model_digest="e" * 64,
    weights_digest="f" * 64,
    metrics={"accuracy": 0.61},
    symbol_metrics={"AAPL": {"accuracy": 0.6}},
    epochs_trained=2,
    best_epoch=1,
)

CLAIMANT = Claimant(worker="w1", kind="local", capabilities={"device_type": "cpu"}, numeric_profile={})

JOB = make_job_id(1_790_000_000_000, bytes(10))
#: The shortest history that leads to each status.
HISTORIES: dict[str, tuple[JobEvent, ...]] = {
    "none": (),
    "queued": (SUBMITTED,),
    "running": (SUBMITTED, CLAIMED),
    "cancelling": (SUBMITTED, CLAIMED, REQUESTED),
    "completed": (SUBMITTED, CLAIMED, COMPLETED),
    "failed": (SUBMITTED, CLAIMED, BROKEN),
    "cancelled": (SUBMITTED, CLAIMED, REQUESTED, CANCELLED),
}


def record(events: Iterable[JobEvent], state: JobState = NO_JOB, *, job_id: JobId = JOB) -> list[Recorded]:
    """Events with the envelopes that a log holding this job alone would give them after `state`."""
    return [
        Recorded(
            position=Position(state.position + number),
            job_id=job_id,
            version=state.version + number,
            at=NOON,
            actor="test",
            event=event,
        )
        for number, event in enumerate(events, start=1)
    ]


def after(*events: JobEvent) -> JobState:
    """The state after a history."""
    return fold(record(events), replace(NO_JOB, job_id=JOB))
