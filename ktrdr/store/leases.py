"""Who works on what: claiming the next job, keeping a lease, taking it away. Imports jobs and the store's own parts.

Each function is an operation for `Log.write`. What is allowed is decided in `ktrdr.jobs.decide`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ktrdr.jobs import decide
from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import JobEvent, JobId, ProgressEvent
from ktrdr.jobs.queue import has_gpu_for, why_given_up
from ktrdr.jobs.refusals import LeaseLostError
from ktrdr.jobs.state import JobState, Status
from ktrdr.store.log import Transaction
from ktrdr.store.queue import find_next, has_room
from ktrdr.store.workers import read_present, takes_jobs


def claim_next(transaction: Transaction, claimant: Claimant, *, by: str = "") -> JobState | None:
    """Gives the job whose turn it is to the worker; None if there is none that it may run.

    `by` is who claims it in the worker's name, as the log shall say; without it, the worker.
    """
    found = find_next(transaction.cursor, transaction.statements, claimant.kind, has_gpu=claimant.has_gpu)
    if found is None:
        return None
    return transaction.change(
        found.job_id,
        lambda state: decide.claim(state, claimant, fallback=found.fallback),
        actor=by or f"worker:{claimant.worker}",
    )


def claim_once(transaction: Transaction, claimant: Claimant, claim_id: str, *, by: str = "") -> JobState | None:
    """`claim_next` for a worker that may ask twice, because an answer was lost: the same claim gets the same lease.

    A worker that drains gets nothing new.
    """
    cursor, statements = transaction.cursor, transaction.statements
    row = statements.job_of_claim.run(cursor, claim_id=claim_id).fetchone()
    if row is not None:
        return transaction.state(JobId(row[0]))
    if not takes_jobs(cursor, statements, claimant.worker):
        return None
    claimed = claim_next(transaction, claimant, by=by)
    if claimed is not None:
        statements.name_claim.run(cursor, id=claimed.job_id, claim=claim_id)
    return claimed


def regain(transaction: Transaction, job_id: JobId, lease_epoch: int, claimant: Claimant, *, by: str = "") -> JobState:
    """Gives a job that is still in the queue back to the worker that was cut off. Raises LeaseLostError."""
    state = transaction.state(job_id)
    may_run = has_room(transaction.cursor, transaction.statements, state.share)
    regained = decide.regain(state, lease_epoch, claimant, may_run=may_run)
    return transaction.append(state, regained, actor=by or f"worker:{claimant.worker}")


def renew(transaction: Transaction, job_id: JobId, lease_epoch: int) -> None:
    """Keeps a lease for another full time. Raises UnknownJobError, and LeaseLostError if it is held no more."""
    renewed = transaction.statements.renew_lease.run(transaction.cursor, id=job_id, epoch=lease_epoch)
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
    state = transaction.state(job_id)
    decide.require_lease(state, lease_epoch)
    fresh = decide.fresh(state, first, progress)
    return transaction.append(state, decide.report(state, lease_epoch, fresh), actor=_holder(state))


def expire(transaction: Transaction, job_id: JobId, lease_epoch: int, renewals: int) -> JobState:
    """Takes a job from a worker that fell silent, unless it was heard of once more than `renewals` times.

    Raises LeaseLostError if the lease is held no more.
    """
    state = transaction.state(job_id)
    expired = decide.expire_lease(state, lease_epoch)
    row = transaction.statements.renewals_of.run(transaction.cursor, job_id=job_id).fetchone()
    if row is not None and row[0] != renewals:
        return state  # at the last moment
    return transaction.append(state, expired, actor="scheduler")


def give_up_without_gpu(transaction: Transaction, submitted_position: int) -> JobState | None:
    """Ends a job that requires a GPU and has waited for one in vain; None if there is one now, or the job has gone."""
    cursor, statements = transaction.cursor, transaction.statements
    (job_id,) = statements.job_at.run(cursor, position=submitted_position).fetchone()
    state, workers = transaction.state(job_id), read_present(cursor, statements)
    if state.status is not Status.QUEUED or has_gpu_for(workers, state.target):
        return None
    given_up = decide.give_up(
        state,
        kind="no_gpu",
        message=why_given_up(workers, state.target),
        fix="start a worker on a machine with a GPU (ktrdr host-worker), or submit the job with prefer_gpu instead",
    )
    return transaction.append(state, given_up, actor="scheduler")


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
    if decide.has_settled(state, lease_epoch):
        return state
    return transaction.append(state, decide_end(state), actor=_holder(state))


def _holder(state: JobState) -> str:
    """Who reports on a job, as the log shall say: the token under which it was claimed, or the worker."""
    return state.claimed_with or f"worker:{state.worker}"
