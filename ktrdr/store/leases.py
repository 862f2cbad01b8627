"""Who works on what: claiming the next job, keeping a lease, taking it away. Imports jobs and the store's own parts.

Each function is an operation for `Log.write`. What is allowed is decided in `ktrdr.jobs.decide`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ktrdr.jobs import decide
from ktrdr.jobs.events import JobEvent, JobId, Json, ProgressEvent
from ktrdr.jobs.refusals import LeaseLostError
from ktrdr.jobs.state import JobState
from ktrdr.store.log import Transaction


class MissingReportError(Exception):
    """A worker's report cannot follow what was received before."""

    def __init__(self, missing: int, first: int) -> None:
        super().__init__(f"event {missing} of this attempt was never received, so event {first} cannot follow")


def claim_next(
    transaction: Transaction, *, worker: str, worker_kind: str, capabilities: Json, numeric_profile: Json
) -> JobState | None:
    """Gives the first job of the queue that this kind of worker may run to the worker; None if there is none."""
    row = transaction.statements.next_queued.run(transaction.cursor, worker_kind=worker_kind).fetchone()
    if row is None:
        return None
    return transaction.change(
        JobId(row[0]),
        lambda state: decide.claim(
            state,
            worker=worker,
            worker_kind=worker_kind,
            capabilities=capabilities,
            numeric_profile=numeric_profile,
        ),
        actor=f"worker:{worker}",
    )


def renew(transaction: Transaction, job_id: JobId, lease_epoch: int) -> None:
    """Keeps a lease for another full time. Raises UnknownJobError, and LeaseLostError if it is held no more."""
    renewed = transaction.statements.renew_lease.run(
        transaction.cursor, id=job_id, epoch=lease_epoch, expires_at=transaction.lease_until
    )
    if renewed.rowcount != 1:
        decide.require_lease(transaction.state(job_id), lease_epoch)
        raise LeaseLostError(job_id, lease_epoch, "the store does not know it")
    transaction.has_written = True


def report_once(
    transaction: Transaction,
    job_id: JobId,
    lease_epoch: int,
    progress: Sequence[ProgressEvent],
    *,
    first: int,
) -> JobState:
    """Records progress that a worker numbers from 0 within its attempt, skipping what was recorded before.

    `first` is the number of the first event given. Raises LeaseLostError; MissingReportError if events between what
    was recorded and `first` never came.
    """
    row = transaction.statements.lease.run(transaction.cursor, job_id=job_id).fetchone()
    is_held = row is not None and row[1] == lease_epoch
    reported = row[4] if is_held else 0
    if is_held and first > reported:
        raise MissingReportError(reported, first)
    fresh = progress[max(reported - first, 0) :]
    state = transaction.state(job_id)
    state = transaction.append(state, decide.report(state, lease_epoch, fresh), actor=f"worker:{state.worker}")
    if fresh:
        transaction.statements.count_reported.run(transaction.cursor, id=job_id, reported=first + len(progress))
    return state


def expire_leases(transaction: Transaction) -> list[JobState]:
    """Takes every job whose lease ran out from its worker; returns the jobs as they stand now."""
    expired = transaction.statements.expired_leases.run(transaction.cursor, now=transaction.now).fetchall()
    return [
        transaction.change(
            JobId(row[0]),
            lambda state, lease_epoch=row[1]: decide.expire_lease(state, lease_epoch),  # type: ignore[misc]
            actor="scheduler",
        )
        for row in expired
    ]


def end_once(
    transaction: Transaction,
    job_id: JobId,
    lease_epoch: int,
    decide_end: Callable[[JobState], Sequence[JobEvent]],
) -> JobState:
    """Records the end of an attempt; once the job has ended under this lease, gives its state and changes nothing.

    So a worker that did not hear the answer may ask again, and one that was too late hears the truth. Raises
    LeaseLostError if the job went on without this lease.
    """
    state = transaction.state(job_id)
    if state.status.is_final and state.lease_epoch == lease_epoch:
        return state
    return transaction.append(state, decide_end(state), actor=f"worker:{state.worker}")
