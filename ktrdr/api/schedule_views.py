"""Schedules and what became of their moments as the API shows them: typed plain data.

Imports the domain of schedules and the store's reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11

from ktrdr.clock import from_instant, system_clock, to_instant
from ktrdr.jobs.events import JobId
from ktrdr.jobs.service import schedule_decisions as decisions
from ktrdr.jobs.service.events import FiringSkipped, ScheduleFired
from ktrdr.jobs.service.schedules import Schedule
from ktrdr.store.reader import Reader, StoredEvent

#: Firings ahead that a schedule is shown with.
SHOWN_FIRINGS = 5


class PauseView(TypedDict):
    at: str | None
    by: str
    reason: str


class LastFiring(TypedDict):
    due_at: str | None
    #: due, catch_up (it was missed before) or now (someone asked for it).
    how: str
    job_id: str
    job_status: str


class LastSkip(TypedDict):
    due_at: str
    reason: str
    detail: str


class ScheduleView(TypedDict):
    name: str
    #: How many events it has; its ETag begins with it.
    version: int
    #: What it was made with, every default filled in.
    definition: dict[str, Any]
    created_at: str | None
    created_by: str
    updated_at: str | None
    updated_by: str
    #: None while it fires.
    paused: PauseView | None
    #: When it is due next, as many moments as there are up to five; none while it is paused.
    next: list[str]
    last_firing: LastFiring | None
    #: The newest moment that passed without a job.
    last_skip: LastSkip | None
    #: How many moments fired, and how many passed without a job.
    fired: int
    skipped: int


class ChangedSchedule(ScheduleView):
    #: What will not be as one might expect.
    warnings: list[str]


class ScheduleList(TypedDict):
    schedules: list[ScheduleView]


class FiringView(TypedDict):
    #: When it was due; of several moments that were skipped together, the first.
    due_at: str
    #: The last of them.
    until: str
    count: int
    #: due, catch_up, now, or skipped.
    outcome: str
    #: Why it was skipped (misfire, overlap, paused, refused, changed), and that in words.
    reason: str | None
    detail: str | None
    #: The job that was submitted or, of an overlap, the one before.
    job_id: str | None
    #: How that is now.
    job_status: str | None
    recorded_at: str
    actor: str
    position: int


class FiringPage(TypedDict):
    #: Newest first.
    firings: list[FiringView]
    #: Give it as `cursor` for the next page; None on the last.
    next_cursor: str | None


class TimingPreview(TypedDict):
    #: When it would be due next, in UTC.
    next: list[str]
    #: The same as the clock on the wall of the time zone shows it.
    local: list[str]


def all_views(reader: Reader) -> list[ScheduleView]:
    """Every schedule that there is, by name."""
    return [schedule_view(reader, schedule) for schedule in reader.subjects(Schedule) if schedule.exists]


def schedule_view(reader: Reader, schedule: Schedule) -> ScheduleView:
    """A schedule as lists and its own page show it."""
    job = reader.job(JobId(schedule.last_job_id)) if schedule.last_job_id else None
    return ScheduleView(
        name=schedule.name,
        version=schedule.version,
        definition=dict(schedule.definition or {}),
        created_at=schedule.created_at,
        created_by=schedule.created_by,
        updated_at=schedule.updated_at,
        updated_by=schedule.updated_by,
        paused=PauseView(at=schedule.paused_at, by=schedule.paused_by, reason=schedule.pause_reason)
        if schedule.is_paused
        else None,
        next=_next(schedule),
        last_firing=LastFiring(
            due_at=schedule.last_due_at, how=schedule.last_how, job_id=job.job_id, job_status=job.status
        )
        if job
        else None,
        last_skip=LastSkip(due_at=schedule.skipped_at, reason=schedule.skip_reason, detail=schedule.skip_detail)
        if schedule.skipped_at
        else None,
        fired=schedule.fired,
        skipped=schedule.skipped,
    )


def firing_views(reader: Reader, found: Sequence[StoredEvent]) -> list[FiringView]:
    return [_firing_view(reader, event) for event in found]


def _firing_view(reader: Reader, stored: StoredEvent) -> FiringView:
    event = stored.recorded.event
    assert isinstance(event, ScheduleFired | FiringSkipped)
    skipped = event if isinstance(event, FiringSkipped) else None
    return FiringView(
        due_at=event.due_at,
        until=skipped.until if skipped else event.due_at,
        count=skipped.count if skipped else 1,
        outcome="skipped" if isinstance(event, FiringSkipped) else event.how,
        reason=skipped.reason if skipped else None,
        detail=skipped.detail if skipped else None,
        job_id=event.job_id,
        job_status=reader.job(event.job_id).status if event.job_id else None,
        recorded_at=stored.recorded_at,
        actor=stored.actor,
        position=stored.position,
    )


def _next(schedule: Schedule) -> list[str]:
    now = to_instant(system_clock())
    if schedule.is_paused:
        return []
    after = max(now, schedule.decided_until or now)
    timing = decisions.definition_of(schedule).timing
    return [to_instant(moment) for moment in timing.upcoming(from_instant(after), SHOWN_FIRINGS)]
