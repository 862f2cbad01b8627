"""Faults planted in the core, one at a time: what the simulation must find, or its rules prove nothing.

Each mutant replaces one function, as someone in haste could have written it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from host_worker.outbox import Batch, Outbox
from ktrdr.jobs import decide, queue, silence, state
from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import (
    JobClaimed,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobRequeued,
    LeaseExpired,
    ProgressEvent,
    Recorded,
    RequeueReason,
)
from ktrdr.jobs.queue import Candidate, Rules
from ktrdr.jobs.refusals import LeaseLostError
from ktrdr.jobs.state import JobState, Status

#: What is replaced, where, and by what.
Mutant = tuple[Any, str, Any]
Events = tuple[JobEvent, ...]

_RUNNING = (Status.RUNNING, Status.CANCELLING)
_claimed = decide._claimed
_evolve_changes = state._changes
_request_cancellation = decide.request_cancellation
_require_lease = decide.require_lease
_expire_lease = decide.expire_lease
_fail = decide.fail


def _lease_of_any_epoch(job: JobState, lease_epoch: int) -> None:
    if job.status not in _RUNNING:
        raise LeaseLostError(job.job_id, lease_epoch, "")


def _lease_after_the_end(job: JobState, lease_epoch: int) -> None:
    if job.lease_epoch != lease_epoch or job.status is Status.QUEUED:
        raise LeaseLostError(job.job_id, lease_epoch, "")


def _lease_in_the_queue(job: JobState, lease_epoch: int) -> None:
    if job.lease_epoch != lease_epoch or job.status.is_final:
        raise LeaseLostError(job.job_id, lease_epoch, "")


def _nothing_is_skipped(job: JobState, first: int, progress: Sequence[ProgressEvent]) -> Sequence[ProgressEvent]:
    return progress


def _whole_reports_are_skipped(job: JobState, first: int, progress: Sequence[ProgressEvent]) -> Sequence[ProgressEvent]:
    return progress if first >= job.reported else ()


def _completes_although_cancelled(job: JobState, lease_epoch: int, completed: JobCompleted) -> Events:
    _require_lease(job, lease_epoch)
    return (completed,)


def _fails_although_cancelled(job: JobState, lease_epoch: int, failed: JobFailed) -> Events:
    return _fail(replace(job, status=Status.RUNNING) if job.status is Status.CANCELLING else job, lease_epoch, failed)


def _released_although_cancelled(job: JobState, lease_epoch: int, *, message: str) -> Events:
    _require_lease(job, lease_epoch)
    return (JobRequeued(reason=RequeueReason.RELEASED, message=message),)


def _expires_whatever_lease_there_is(job: JobState, lease_epoch: int) -> Events:
    return _expire_lease(job, job.lease_epoch)


def _expired_although_cancelled(job: JobState, lease_epoch: int) -> Events:
    return _expire_lease(replace(job, status=Status.RUNNING) if job.status is Status.CANCELLING else job, lease_epoch)


def _expires_without_end(job: JobState, lease_epoch: int) -> Events:
    """An attempt is never the last one."""
    _require_lease(job, lease_epoch)
    requeued = JobRequeued(reason=RequeueReason.LEASE_EXPIRED, message="")
    return (LeaseExpired(worker=job.worker or "", lease_epoch=lease_epoch), requeued)


def _one_attempt_too_many(job: JobState, lease_epoch: int, failed: JobFailed) -> Events:
    return _fail(replace(job, max_attempts=job.max_attempts + 1), lease_epoch, failed)


def _same_epoch(job: JobState, claimant: Claimant, **named: Any) -> JobClaimed:
    return replace(_claimed(job, claimant, **named), lease_epoch=max(job.lease_epoch, 1))


def _claims_what_runs(job: JobState, claimant: Claimant, *, fallback: str = "") -> Events:
    return (_claimed(job, claimant, fallback=fallback, attempt=job.attempts_spent + 1),)


def _regains_whatever(
    *, claimed_since: bool = False, given_back: bool = False, beyond_cap: bool = False
) -> Callable[..., Events]:
    """`regain` without one of its conditions."""

    def regain(job: JobState, lease_epoch: int, claimant: Claimant, *, may_run: bool) -> Events:
        if job.worker == claimant.worker and job.continues == lease_epoch:
            return ()
        is_lost = job.lost_lease == lease_epoch or given_back
        is_free = job.status is Status.QUEUED or (claimed_since and not job.status.is_final)
        is_last = job.lease_epoch == lease_epoch or claimed_since
        if not (is_lost and is_free and is_last and (may_run or beyond_cap)):
            raise LeaseLostError(job.job_id, lease_epoch, "")
        return (_claimed(job, claimant, fallback="", attempt=job.attempts_spent, continues=lease_epoch),)

    return regain


def _folds(**changed: Callable[[JobState], Any]) -> Callable[[JobState, Recorded], dict[str, Any]]:
    """`evolve` with something else in the fields that a regained lease changes."""

    def changes(job: JobState, recorded: Recorded) -> dict[str, Any]:
        found = _evolve_changes(job, recorded)
        if isinstance(recorded.event, JobClaimed) and recorded.event.continues is not None:
            return {**found, **{name: value(job) for name, value in changed.items()}}
        return found

    return changes


def _counts_on(job: JobState, recorded: Recorded) -> dict[str, Any]:
    """A new attempt goes on counting what was reported."""
    return {name: value for name, value in _evolve_changes(job, recorded).items() if name != "reported" or value}


def _release_spends(job: JobState, recorded: Recorded) -> dict[str, Any]:
    spent = isinstance(recorded.event, JobRequeued)
    return _evolve_changes(job, recorded) | ({"attempts_spent": job.attempts_spent + 1} if spent else {})


def _cancelled_twice(job: JobState, *, by: str, reason: str) -> Events:
    return _request_cancellation(
        replace(job, status=Status.RUNNING) if job.status is Status.CANCELLING else job, by=by, reason=reason
    )


def _cancelled_after_the_end(job: JobState, *, by: str, reason: str) -> Events:
    return _request_cancellation(
        replace(job, status=Status.RUNNING) if job.status.is_final else job, by=by, reason=reason
    )


def _cancelled_in_the_queue_without_end(job: JobState, *, by: str, reason: str) -> Events:
    return _request_cancellation(job, by=by, reason=reason)[:1]


def _never_settled(job: JobState, lease_epoch: int) -> bool:
    return False


def _gives_up_what_runs(job: JobState, *, kind: str, message: str, fix: str) -> Events:
    return (JobFailed(kind=kind, message=message, where="queue", fix=fix, retryable=True),)


def _without_caps(candidates: Sequence[Candidate], running: Mapping[str, int], rules: Rules) -> Candidate | None:
    return min(
        candidates,
        key=lambda one: (-one.priority, running.get(one.share, 0), one.submitted_position),
        default=None,
    )


def _first_come(candidates: Sequence[Candidate], running: Mapping[str, int], rules: Rules) -> Candidate | None:
    allowed = [one for one in candidates if rules.may_run(one.share, running.get(one.share, 0))]
    return min(allowed, key=lambda one: one.submitted_position, default=None)


def _acknowledges_too_much(outbox: Outbox, batch: Batch) -> None:
    while outbox._waiting and outbox.acknowledged <= batch.first + len(batch.events):
        outbox._waiting.popleft()
        outbox.acknowledged += 1


class _Impatient(silence.Silence[Any]):
    """Counts from the first look at a key, whatever its counter does."""

    def observe(self, counters: Mapping[Any, int], now: float) -> list[Any]:
        return super().observe(dict.fromkeys(counters, 0), now)


class _Forgetful(silence.Silence[Any]):
    """Begins again at every look."""

    def observe(self, counters: Mapping[Any, int], now: float) -> list[Any]:
        self._seen = {}
        return super().observe(counters, now)


MUTANTS: dict[str, Mutant] = {
    "a lease is held whatever its epoch": (decide, "require_lease", _lease_of_any_epoch),
    "a lease is held after the job's end": (decide, "require_lease", _lease_after_the_end),
    "a lease is held while the job waits in the queue": (decide, "require_lease", _lease_in_the_queue),
    "a repeated report is recorded again": (decide, "fresh", _nothing_is_skipped),
    "a report that was recorded in part is dropped": (decide, "fresh", _whole_reports_are_skipped),
    "a cancelled job completes": (decide, "complete", _completes_although_cancelled),
    "a cancelled job fails": (decide, "fail", _fails_although_cancelled),
    "a cancelled job is released into the queue": (decide, "release", _released_although_cancelled),
    "a cancelled job is queued when its worker is lost": (decide, "expire_lease", _expired_although_cancelled),
    "an old lease that expires takes the new one": (decide, "expire_lease", _expires_whatever_lease_there_is),
    "lost workers spend attempts without end": (decide, "expire_lease", _expires_without_end),
    "one attempt more than allowed": (decide, "fail", _one_attempt_too_many),
    "a claim gives out the same epoch again": (decide, "_claimed", _same_epoch),
    "an attempt goes on although the job was claimed since": (decide, "regain", _regains_whatever(claimed_since=True)),
    "an attempt goes on although it failed or was given back": (decide, "regain", _regains_whatever(given_back=True)),
    "an attempt goes on beyond the caps": (decide, "regain", _regains_whatever(beyond_cap=True)),
    "an attempt that goes on stays spent": (state, "_changes", _folds(attempts_spent=lambda job: job.attempts_spent)),
    "an attempt that goes on counts its reports anew": (state, "_changes", _folds(reported=lambda _: 0)),
    "a new attempt goes on counting reports": (state, "_changes", _counts_on),
    "giving a job back spends an attempt": (state, "_changes", _release_spends),
    "a second cancellation is recorded": (decide, "request_cancellation", _cancelled_twice),
    "a finished job can be cancelled": (decide, "request_cancellation", _cancelled_after_the_end),
    "a job cancelled in the queue does not end": (
        decide, "request_cancellation", _cancelled_in_the_queue_without_end
    ),
    "a worker that repeats its end is told that the lease is lost": (decide, "has_settled", _never_settled),
    "caps are ignored": (queue, "choose", _without_caps),
    "priorities are ignored": (queue, "choose", _first_come),
    "leases expire although they are renewed": (silence, "Silence", _Impatient),
    "no one is ever found silent": (silence, "Silence", _Forgetful),
    "the outbox forgets an event that was not sent": (Outbox, "acknowledge", _acknowledges_too_much),
}  # fmt: skip
