"""What is due and what a command does to a schedule: its state gives the events to record, or a refusal. All rules.

Imports the standard library only. Pure: the caller appends what is returned in the transaction that it read the state
in, so that of two schedulers one finds nothing left to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import Any

from ktrdr.jobs.events import Instant, JobId, ServiceEvent
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.refusals import ScheduleBusyError, ScheduleExistsError, UnknownScheduleError
from ktrdr.jobs.service.definition import Definition, Misfire, Overlap, read_definition
from ktrdr.jobs.service.events import (
    FiringSkipped,
    ScheduleChanged,
    ScheduleCreated,
    ScheduleDeleted,
    ScheduleFired,
    SchedulePaused,
    ScheduleResumed,
)
from ktrdr.jobs.service.schedules import CATCH_UP, DUE, NOW, Schedule
from ktrdr.jobs.service.timing import TICK, Span
from ktrdr.jobs.state import JobState

#: With `misfire: all`, so many of the newest moments are made up for.
MOST_MISSED = 1_000
DETAIL_LIMIT = 2_000

#: Why moments passed without a job.
MISFIRE, OVERLAP, PAUSED, REFUSED, CHANGED = "misfire", "overlap", "paused", "refused", "changed"


@dataclass(frozen=True, slots=True)
class Fire:
    """A job is due."""

    due_at: datetime
    #: `due` or `catch_up`.
    how: str


@dataclass(frozen=True, slots=True)
class Skip:
    """Moments pass without one."""

    moments: Span
    reason: str
    detail: str


def definition_of(schedule: Schedule) -> Definition:
    """Raises UnknownScheduleError."""
    if schedule.definition is None:
        raise UnknownScheduleError(schedule.name)
    return read_definition(schedule.definition)


def create(schedule: Schedule, definition: Mapping[str, Any]) -> tuple[ServiceEvent, ...]:
    """Raises ScheduleExistsError."""
    if schedule.exists:
        raise ScheduleExistsError(schedule.name)
    return (ScheduleCreated(name=schedule.name, definition=definition),)


def change(schedule: Schedule, definition: Mapping[str, Any], now: Instant) -> tuple[ServiceEvent, ...]:
    """Another definition from now on. Raises UnknownScheduleError."""
    if schedule.definition == definition:
        return ()
    return (*_passed(schedule, now, "the schedule was changed"), ScheduleChanged(definition=definition))


def pause(schedule: Schedule, reason: str) -> tuple[ServiceEvent, ...]:
    """Nothing is fired by the clock until it goes on. Raises UnknownScheduleError."""
    _require(schedule)
    return () if schedule.is_paused else (SchedulePaused(reason=reason),)


def resume(schedule: Schedule, now: Instant) -> tuple[ServiceEvent, ...]:
    """What came due in the meantime is skipped. Raises UnknownScheduleError."""
    if schedule.exists and not schedule.is_paused:
        return ()
    return (*_passed(schedule, now, "the schedule was paused"), ScheduleResumed())


def delete(schedule: Schedule, now: Instant) -> tuple[ServiceEvent, ...]:
    """Its jobs stay. Raises UnknownScheduleError."""
    return (*_passed(schedule, now, "the schedule was deleted"), ScheduleDeleted())


def next_action(schedule: Schedule, now: Instant) -> Fire | Skip | None:
    """The oldest thing that is to be done; None if nothing is, yet."""
    if not schedule.exists or schedule.is_paused:
        return None
    definition, after, present = definition_of(schedule), _decided_until(schedule), _moment(now)
    timing = definition.timing
    on_time_from = present - definition.grace
    missed = timing.span(after, on_time_from - TICK)
    if missed is None:
        first = timing.next(after)
        return Fire(first, DUE) if first is not None and first <= present else None
    match definition.misfire:
        case Misfire.ALL if missed.count <= MOST_MISSED:
            return Fire(missed.first, CATCH_UP)
        case Misfire.ALL:
            given_up = list(islice(timing.moments(after), missed.count - MOST_MISSED))
            return Skip(
                Span(given_up[0], given_up[-1], len(given_up)), MISFIRE, f"no more than {MOST_MISSED:,} are made up for"
            )
        case Misfire.ONCE if timing.span(max(after, on_time_from - TICK), present) is None:
            before_last = timing.span(after, missed.last - TICK)
            if before_last is None:
                return Fire(missed.last, CATCH_UP)
            return Skip(before_last, MISFIRE, "nobody was there; the newest is made up for")
        case Misfire.ONCE:
            return Skip(missed, MISFIRE, "nobody was there, and the next one is due")
    return Skip(missed, MISFIRE, "nobody was there")


def next_due(schedule: Schedule, now: Instant) -> datetime | None:
    """When the clock fires it next, after what is due already."""
    if not schedule.exists or schedule.is_paused:
        return None
    return definition_of(schedule).timing.next(max(_decided_until(schedule), _moment(now)))


def fire(schedule: Schedule, action: Fire, before: JobState | None) -> tuple[ServiceEvent, ...]:
    """The firing; or, while the job before has not ended and the schedule says so, that it was skipped."""
    due_at = _instant(action.due_at)
    if busy := _overlap(schedule, before):
        detail = f"job {busy.job_id} of the firing before is {busy.status}"
        return (_skipped(_one(action.due_at), OVERLAP, detail, busy.job_id),)
    return (ScheduleFired(due_at=due_at, job_id=job_id_of(schedule, due_at, action.how), how=action.how),)


def fire_now(schedule: Schedule, now: Instant, before: JobState | None) -> tuple[ServiceEvent, ...]:
    """A firing that someone asks for, paused or not. Raises UnknownScheduleError and ScheduleBusyError."""
    _require(schedule)
    if busy := _overlap(schedule, before):
        raise ScheduleBusyError(schedule.name, busy.job_id, busy.status)
    return (ScheduleFired(due_at=now, job_id=job_id_of(schedule, now, NOW), how=NOW),)


def skip(action: Skip) -> tuple[ServiceEvent, ...]:
    return (_skipped(action.moments, action.reason, action.detail),)


def refused(action: Fire, detail: str) -> tuple[ServiceEvent, ...]:
    """A firing that could not be submitted."""
    return (_skipped(_one(action.due_at), REFUSED, detail),)


def job_id_of(schedule: Schedule, due_at: Instant, how: str) -> JobId:
    """The id of the job of one firing, the same whoever fires it."""
    moment = datetime.fromisoformat(due_at)
    # Asked for twice, a firing is two; at one moment that is due there is one, be it in time or made up for.
    which = f"now {schedule.version}" if how == NOW else "due"
    digest = sha256(f"{schedule.id}\n{schedule.generation}\n{which}\n{due_at}".encode()).digest()
    return make_job_id(int(moment.timestamp() * 1000), digest)


def seed_of(schedule: Schedule, due_at: Instant) -> int:
    """The seed of one firing, where each has its own."""
    digest = sha256(f"seed\n{schedule.id}\n{schedule.generation}\n{due_at}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _passed(schedule: Schedule, now: Instant, detail: str) -> tuple[ServiceEvent, ...]:
    """The end of what was due before a change of the schedule and nobody has decided yet."""
    moments = definition_of(schedule).timing.span(_decided_until(schedule), _moment(now))
    if moments is None:
        return ()
    paused = schedule.is_paused
    return (_skipped(moments, PAUSED if paused else CHANGED, "the schedule was paused" if paused else detail),)


def _overlap(schedule: Schedule, before: JobState | None) -> JobState | None:
    """The job before, if the schedule waits for its end."""
    waits = definition_of(schedule).overlap is Overlap.SKIP
    return before if waits and before is not None and before.version and not before.status.is_final else None


def _skipped(moments: Span, reason: str, detail: str, job_id: JobId | None = None) -> FiringSkipped:
    return FiringSkipped(
        due_at=_instant(moments.first), until=_instant(moments.last), count=moments.count, reason=reason,
        detail=detail[:DETAIL_LIMIT], job_id=job_id,
    )  # fmt: skip


def _require(schedule: Schedule) -> None:
    if not schedule.exists:
        raise UnknownScheduleError(schedule.name)


def _decided_until(schedule: Schedule) -> datetime:
    assert schedule.decided_until is not None
    return _moment(schedule.decided_until)


def _one(moment: datetime) -> Span:
    return Span(moment, moment, 1)


def _moment(instant: Instant) -> datetime:
    return datetime.fromisoformat(instant)


def _instant(moment: datetime) -> Instant:
    return Instant(f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z")
