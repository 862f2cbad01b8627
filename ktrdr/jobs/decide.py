"""The decisions: a command and the state of a job give the events to record, or a refusal. All rules are here.

Imports the standard library only. Pure: the caller loads the state, appends what is returned, and retries if the job
changed in between.

The rule for a cancellation that races the end: the event that is recorded first wins. Once a request is in the log
the job ends cancelled, whatever its worker reports afterwards; once a terminal event is in the log the request is
refused with the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from ktrdr.jobs.events import (
    CancellationRequested,
    CancelOutcome,
    JobCancelled,
    JobClaimed,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobRequeued,
    JobSubmitted,
    Json,
    LeaseExpired,
    ProgressEvent,
    RequeueReason,
)
from ktrdr.jobs.refusals import (
    JobFinishedError,
    LeaseLostError,
    MissingReportError,
    NotQueuedError,
    StaleVersionError,
    UnknownJobError,
)
from ktrdr.jobs.state import JobState, Status
from ktrdr.jobs.workers import has_gpu

#: Longest text of a message that a worker may record; tracebacks belong to logs.
MESSAGE_LIMIT = 4_000


def submit(state: JobState, submitted: JobSubmitted) -> tuple[JobEvent, ...]:
    """Creates the job."""
    if state.version:
        raise StaleVersionError(state.job_id, 0, state.version)
    return (submitted,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """A worker that asks for a job."""

    worker: str
    #: `local` or `host`.
    kind: str
    #: DeviceCapabilities as plain data.
    capabilities: Json
    numeric_profile: Json

    @property
    def has_gpu(self) -> bool:
        return has_gpu(self.capabilities)


def claim(state: JobState, claimant: Claimant, *, fallback: str = "") -> tuple[JobEvent, ...]:
    """Gives a queued job to a worker, under the next lease epoch.

    `fallback` says why, if the job would rather have a GPU and this worker has none.
    """
    _require_queued(state)
    return (_claimed(state, claimant, fallback=fallback, attempt=state.attempts_spent + 1),)


def regain(state: JobState, lease_epoch: int, claimant: Claimant, *, may_run: bool) -> tuple[JobEvent, ...]:
    """Lets a worker that was cut off beyond its lease go on with its attempt, if nobody has taken the job since.

    `may_run` is whether the caps leave room for it. Asking again, because the answer was lost, changes nothing. Raises
    LeaseLostError: also for a lease that its worker gave back, or whose attempt failed.
    """
    _require_job(state)
    if state.worker == claimant.worker and state.continues == lease_epoch:
        return ()
    if state.status is not Status.QUEUED or not state.lost_lease == state.lease_epoch == lease_epoch:
        raise LeaseLostError(state.job_id, lease_epoch, _current(state, lease_epoch))
    if not may_run:
        raise LeaseLostError(state.job_id, lease_epoch, "meanwhile as many jobs of its share run as may run at once")
    return (_claimed(state, claimant, fallback=state.fallback, attempt=state.attempts_spent, continues=lease_epoch),)


def report(state: JobState, lease_epoch: int, progress: Sequence[ProgressEvent]) -> tuple[JobEvent, ...]:
    """Records a worker's progress."""
    require_lease(state, lease_epoch)
    return tuple(progress)


def fresh(state: JobState, first: int, progress: Sequence[ProgressEvent]) -> Sequence[ProgressEvent]:
    """What of a report is new. `first` is the number, within the attempt and from 0, of its first event.

    An attempt that goes on under another lease goes on counting. Raises MissingReportError if events in between never
    came.
    """
    if first > state.reported:
        raise MissingReportError(state.reported, first)
    return progress[state.reported - first :]


def has_settled(state: JobState, lease_epoch: int) -> bool:
    """Whether the attempt under this lease has ended the job: its worker may ask again, and hears the truth."""
    return state.status.is_final and state.lease_epoch == lease_epoch


def complete(state: JobState, lease_epoch: int, completed: JobCompleted) -> tuple[JobEvent, ...]:
    """Ends the job with its model, or as cancelled if that was requested before."""
    require_lease(state, lease_epoch)
    if state.status is Status.CANCELLING:
        return (_cancelled(state, CancelOutcome.FINISHED_FIRST),)
    return (completed,)


def fail(state: JobState, lease_epoch: int, failed: JobFailed) -> tuple[JobEvent, ...]:
    """Ends the attempt: another one if the failure may be tried again and attempts are left, else the job."""
    require_lease(state, lease_epoch)
    if state.status is Status.CANCELLING:
        return (_cancelled(state, CancelOutcome.FAILED),)
    if failed.retryable and state.attempts_spent + 1 < state.max_attempts:
        return (JobRequeued(reason=RequeueReason.ATTEMPT_FAILED, message=failed.message[:MESSAGE_LIMIT]),)
    return (replace(failed, message=failed.message[:MESSAGE_LIMIT]),)


def acknowledge_cancellation(
    state: JobState, lease_epoch: int, *, outcome: CancelOutcome, batches_after_request: int | None, where: str
) -> tuple[JobEvent, ...]:
    """Ends the job as cancelled, on the word of the worker that stopped it."""
    require_lease(state, lease_epoch)
    if state.status is not Status.CANCELLING:
        raise LeaseLostError(state.job_id, lease_epoch, "no cancellation of this job was requested")
    return (_cancelled(state, outcome, batches_after_request=batches_after_request, where=where),)


def release(state: JobState, lease_epoch: int, *, message: str) -> tuple[JobEvent, ...]:
    """Gives the job back to the queue without spending an attempt: its worker was told to stop."""
    require_lease(state, lease_epoch)
    if state.status is Status.CANCELLING:
        return (_cancelled(state, CancelOutcome.STOPPED),)
    return (JobRequeued(reason=RequeueReason.RELEASED, message=message[:MESSAGE_LIMIT]),)


def expire_lease(state: JobState, lease_epoch: int) -> tuple[JobEvent, ...]:
    """Takes the job from a worker that did not renew its lease."""
    require_lease(state, lease_epoch)
    expired = LeaseExpired(worker=state.worker or "", lease_epoch=lease_epoch)
    if state.status is Status.CANCELLING:
        return (expired, _cancelled(state, CancelOutcome.WORKER_LOST))
    message = f"worker {state.worker} did not renew its lease"
    if state.attempts_spent + 1 < state.max_attempts:
        return (expired, JobRequeued(reason=RequeueReason.LEASE_EXPIRED, message=message))
    failed = JobFailed(
        kind="worker_lost",
        message=f"{message}, for the {state.max_attempts}. time",
        where=state.stage or "",
        fix="look at the worker's log: memory, power and network end workers; then submit the job again",
        retryable=True,
    )
    return (expired, failed)


def give_up(state: JobState, *, kind: str, message: str, fix: str) -> tuple[JobEvent, ...]:
    """Ends a job in the queue that no worker can run."""
    _require_queued(state)
    return (JobFailed(kind=kind, message=message, where="queue", fix=fix, retryable=True),)


def request_cancellation(state: JobState, *, by: str, reason: str) -> tuple[JobEvent, ...]:
    """Asks for the job to stop: at once if it is queued, otherwise its worker will see the request.

    Asking twice changes nothing and is no error.
    """
    _require_job(state)
    requested = CancellationRequested(by=by, reason=reason)
    match state.status:
        case Status.QUEUED:
            # The request becomes the job's next version, so the receipt can name it before it is recorded.
            return (requested, _cancelled(state, CancelOutcome.NOT_STARTED, request_version=state.version + 1))
        case Status.RUNNING:
            return (requested,)
        case Status.CANCELLING:
            return ()
        case Status.COMPLETED | Status.FAILED | Status.CANCELLED:
            raise JobFinishedError(state.job_id, state.status)
        case _:
            assert_never(state.status)


def _cancelled(
    state: JobState,
    outcome: CancelOutcome,
    *,
    request_version: int | None = None,
    batches_after_request: int | None = None,
    where: str = "",
) -> JobCancelled:
    return JobCancelled(
        request_version=request_version or state.cancellation_version or 0,
        outcome=outcome,
        batches_after_request=batches_after_request,
        where=where or state.stage or "",
    )


def _claimed(
    state: JobState, claimant: Claimant, *, fallback: str, attempt: int, continues: int | None = None
) -> JobClaimed:
    return JobClaimed(
        worker=claimant.worker,
        worker_kind=claimant.kind,
        attempt=attempt,
        lease_epoch=state.lease_epoch + 1,
        capabilities=claimant.capabilities,
        numeric_profile=claimant.numeric_profile,
        fallback=fallback,
        continues=continues,
    )


def _require_queued(state: JobState) -> None:
    _require_job(state)
    if state.status is not Status.QUEUED:
        raise NotQueuedError(state.job_id, state.status)


def _require_job(state: JobState) -> None:
    if not state.version:
        raise UnknownJobError(state.job_id)


def require_lease(state: JobState, lease_epoch: int) -> None:
    """Raises LeaseLostError unless the job runs under this lease."""
    _require_job(state)
    if state.status not in (Status.RUNNING, Status.CANCELLING) or state.lease_epoch != lease_epoch:
        raise LeaseLostError(state.job_id, lease_epoch, _current(state, lease_epoch))


def _current(state: JobState, lease_epoch: int) -> str:
    """Why a lease is not held, for people."""
    if state.lease_epoch != lease_epoch:
        return f"lease {state.lease_epoch} was given out since"
    return f"the job is {state.status}"
