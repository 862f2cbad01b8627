"""What the log adds up to, kept beside it: one row per job, the terms that find it, the lease on it, and snapshots.

And one row per subject of the service.

Imports jobs. Written in the transaction of the events that it follows from, so it is never behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ktrdr.jobs.events import JobClaimed, JobId, JobSubmitted, Recorded
from ktrdr.jobs.queue import waiting_class
from ktrdr.jobs.service.subject import Subject
from ktrdr.jobs.service.subjects import subject_data
from ktrdr.jobs.state import JobState, Status, evolve, state_data

if TYPE_CHECKING:
    from ktrdr.store.log import Transaction

#: A job's state is kept at every version that this divides, so that no state of the past is further away than this.
#: (With 250, folding takes most of the time of a list of many running jobs; a state takes the room of three events.)
SNAPSHOT_VERSIONS = 100

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def project(transaction: Transaction, before: JobState, after: JobState, recorded: Sequence[Recorded]) -> bool:
    """Brings the projections from `before` to `after`; False if the job was not at `before` any more."""
    cursor, statements = transaction.cursor, transaction.statements
    if before.version == 0:
        if statements.job_state.run(cursor, job_id=after.job_id).fetchone() is not None:
            return False
        first = recorded[0]
        statements.insert_job.run_with(cursor, job_row(first, after))
        for term in terms(after):
            transaction.defer(statements.insert_term, term=term, submitted_position=first.position)
    else:
        changed = statements.update_job.run(
            cursor,
            id=after.job_id,
            expected=before.version,
            version=after.version,
            position=after.position,
            status=after.status,
            waits_for=waits_for(after),
            state=state_text(after),
        )
        if changed.rowcount != 1:
            return False
    for entry in recorded:
        if isinstance(entry.event, JobClaimed):
            statements.insert_lease.run(
                cursor,
                job_id=entry.job_id,
                lease_epoch=entry.event.lease_epoch,
                worker=entry.event.worker,
                renewals=0,
                claim_id=None,
            )
    if before.worker is not None and after.worker is None:
        statements.delete_lease.run(cursor, job_id=after.job_id)
    if before.version // SNAPSHOT_VERSIONS != after.version // SNAPSHOT_VERSIONS:
        for row in snapshot_rows(before, recorded):
            transaction.defer(statements.insert_snapshot, **row)
    return True


def project_subject(transaction: Transaction, before: Subject, after: Subject, _recorded: Sequence[Recorded]) -> bool:
    """Brings the row of a subject from `before` to `after`; False if it was not at `before` any more."""
    cursor, statements, row = transaction.cursor, transaction.statements, subject_row(after)
    if before.version == 0:
        if statements.subject.run(cursor, id=after.id).fetchone() is not None:
            return False
        statements.insert_subject.run_with(cursor, row)
        return True
    changed = statements.update_subject.run_with(cursor, {"name": after.id, "expected": before.version, **row})
    return bool(changed.rowcount == 1)


def subject_row(subject: Subject) -> dict[str, Any]:
    """The row of `subjects` for a subject."""
    return {
        "id": subject.id,
        "version": subject.version,
        "position": subject.position,
        "state": _encode(subject_data(subject)),
    }


def job_row(first: Recorded, state: JobState) -> dict[str, Any]:
    """The row of `jobs` for a job, from its first event and its state."""
    submitted = first.event
    if not isinstance(submitted, JobSubmitted):
        raise TypeError(f"a job begins with JobSubmitted, not {type(submitted).__name__}")
    return {
        "job_id": first.job_id,
        "version": state.version,
        "position": state.position,
        "status": str(state.status),
        "waits_for": waits_for(state),
        "share": state.share,
        "priority": state.priority,
        "submitted_position": first.position,
        "idempotency_key": submitted.idempotency_key,
        "request_digest": submitted.request_digest,
        "state": state_text(state),
    }


def snapshot_rows(before: JobState, recorded: Iterable[Recorded]) -> Iterator[dict[str, Any]]:
    """The rows of `snapshots` for the events of one job that follow its state `before`."""
    state = before
    for entry in recorded:
        state = evolve(state, entry)
        if state.version % SNAPSHOT_VERSIONS == 0:
            yield {
                "job_id": state.job_id,
                "position": state.position,
                "version": state.version,
                "state": state_text(state),
            }


def waits_for(state: JobState) -> str | None:
    """What kind of worker a job in the queue waits for; None for one that is not there."""
    if state.status is not Status.QUEUED:
        return None
    return waiting_class(state.target, require_gpu=state.require_gpu, prefer_gpu=state.prefer_gpu)


def lease_row(state: JobState) -> Mapping[str, Any] | None:
    """What must stand in `leases` for a job, but for what only the lease itself knows; None if no one holds it."""
    if state.worker is None:
        return None
    return {"job_id": state.job_id, "lease_epoch": state.lease_epoch, "worker": state.worker}


def terms(state: JobState) -> list[str]:
    """What a job can be found by beside its columns."""
    return terms_of(state.name, state.symbols, (state.labels or {}).items())


def terms_of(name: str | None, symbols: Iterable[str], labels: Iterable[tuple[str, str]]) -> list[str]:
    """The terms of a strategy's name, symbols and labels: what jobs are stored under and looked up by."""
    names = [f"strategy:{name}"] if name else []
    return [*names, *(f"symbol:{symbol}" for symbol in symbols), *(f"label:{key}={value}" for key, value in labels)]


def state_text(state: JobState) -> str:
    return _encode(state_data(state))


def find_job_by_key(transaction: Transaction, key: str) -> tuple[JobId, str] | None:
    """The job that was submitted under an idempotency key, and the digest of that request."""
    row = transaction.statements.job_by_key.run(transaction.cursor, idempotency_key=key).fetchone()
    return (JobId(row[0]), row[1]) if row else None
