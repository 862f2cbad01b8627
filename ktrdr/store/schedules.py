"""What schedules do, as operations for `Log.write`, and what they did. Imports jobs and the store's own parts.

What is allowed is decided in `ktrdr.jobs.service.schedule_decisions`. A firing and the submission of its job are one
transaction, on the state that it finds there.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId, JobSubmitted, ServiceEvent
from ktrdr.jobs.refusals import StaleVersionError, UnknownScheduleError
from ktrdr.jobs.service import schedule_decisions as decisions
from ktrdr.jobs.service.events import FiringSkipped, ScheduleFired
from ktrdr.jobs.service.schedule_decisions import Fire, Skip
from ktrdr.jobs.service.schedules import Schedule
from ktrdr.jobs.service.subjects import is_subject_name, subject_id
from ktrdr.jobs.state import JobState, no_job
from ktrdr.store.log import Transaction
from ktrdr.store.reader import Reader, StoredEvent
from ktrdr.store.schema import events

SCHEDULER = "scheduler"


def fire(transaction: Transaction, seen: Schedule, action: Fire, submitted: JobSubmitted) -> JobState | None:
    """Submits the job of a moment that is due; None if it is skipped for the job before.

    Raises StaleVersionError if the schedule is not as it was `seen`: another scheduler was faster, or somebody changed
    it.
    """
    schedule = _as_seen(transaction, seen)
    return _record(transaction, schedule, decisions.fire(schedule, action, _before(transaction, schedule)), submitted)


def fire_now(transaction: Transaction, seen: Schedule, submitted: JobSubmitted, *, by: str) -> JobState:
    """Submits a job that somebody asks for. Raises StaleVersionError, UnknownScheduleError and ScheduleBusyError."""
    schedule = _as_seen(transaction, seen)
    fired = decisions.fire_now(schedule, transaction.now, _before(transaction, schedule))
    state = _record(transaction, schedule, fired, submitted, by=by)
    assert state is not None
    return state


def skip(transaction: Transaction, seen: Schedule, action: Skip) -> None:
    """Lets moments pass. Raises StaleVersionError."""
    _record(transaction, _as_seen(transaction, seen), decisions.skip(action))


def refuse(transaction: Transaction, seen: Schedule, action: Fire, detail: str) -> None:
    """Lets a moment pass whose job cannot be submitted. Raises StaleVersionError."""
    _record(transaction, _as_seen(transaction, seen), decisions.refused(action, detail))


def firings(reader: Reader, name: str, *, before: int | None = None, limit: int) -> list[StoredEvent]:
    """A page of what became of the moments of a schedule, newest first, recorded before position `before`."""
    types = (ScheduleFired.__name__, FiringSkipped.__name__)
    query = select(events).where(events.c.job_id == subject_id(Schedule, name), events.c.type.in_(types))
    if before is not None:
        query = query.where(events.c.position < before)
    rows = reader.rows(query.order_by(events.c.version.desc()).limit(limit))
    return [StoredEvent(**row._mapping) for row in rows]


def find(reader: Reader, name: str) -> Schedule:
    """A schedule that there is. Raises UnknownScheduleError."""
    schedule = reader.subject(Schedule, name) if is_subject_name(name) else None
    if schedule is None or not schedule.exists:
        raise UnknownScheduleError(name[:80])
    return schedule


def _as_seen(transaction: Transaction, seen: Schedule) -> Schedule:
    schedule = transaction.subject(Schedule, seen.name)
    if schedule.version != seen.version:
        raise StaleVersionError(schedule.id, seen.version, schedule.version)
    return schedule


def _before(transaction: Transaction, schedule: Schedule) -> JobState | None:
    """The job of the firing before."""
    return transaction.state(JobId(schedule.last_job_id)) if schedule.last_job_id else None


def _record(
    transaction: Transaction,
    schedule: Schedule,
    decided: Sequence[ServiceEvent],
    submitted: JobSubmitted | None = None,
    *,
    by: str = SCHEDULER,
) -> JobState | None:
    transaction.change_subject(Schedule, schedule.name, lambda _: decided, actor=by)
    for event in decided:
        if isinstance(event, ScheduleFired) and submitted is not None:
            new = no_job(event.job_id)
            return transaction.append(new, decide.submit(new, submitted), actor=by)
    return None
