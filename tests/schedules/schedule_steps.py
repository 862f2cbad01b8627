"""Schedules put into a store without a service, and what must be true of everything that they did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any

from ktrdr.audit.checking.verify import verify
from ktrdr.clock import Clock, from_instant, system_clock, to_instant
from ktrdr.jobs.codec import decode
from ktrdr.jobs.events import JobSubmitted
from ktrdr.jobs.service import schedule_decisions as decisions
from ktrdr.jobs.service.events import FiringSkipped, ScheduleFired
from ktrdr.jobs.service.schedules import Schedule
from ktrdr.store import Log, Store
from ktrdr.store.schedules import firings

MICROSECOND = timedelta(microseconds=1)


def every(length: str, *, start: datetime | None = None, **changes: Any) -> dict[str, Any]:
    """The definition of a schedule that is due so often."""
    return {
        "cron": None, "every": length, "timezone": "UTC", "start": to_instant(start or system_clock()), "end": None,
        "misfire": "all", "grace_seconds": 300, "overlap": "queue", "window": None, "end_lag": None,
        "window_ends": "due", "seed": "firing", "job": {"strategy": "trend_follower", "symbols": ["AAPL"]},
    } | changes  # fmt: skip


@contextmanager
def writing(store: Store, clock: Clock = system_clock) -> Iterator[Log]:
    with closing(Log(store.engine, store.doorbell, clock=clock)) as log:
        yield log


def create(store: Store, name: str, definition: dict[str, Any], clock: Clock = system_clock) -> Schedule:
    with writing(store, clock) as log:
        return log.write(
            lambda transaction: transaction.change_subject(
                Schedule, name, lambda schedule: decisions.create(schedule, definition), actor="tests"
            )
        )


def pause(store: Store, name: str) -> Schedule:
    with writing(store) as log:
        return log.write(
            lambda transaction: transaction.change_subject(
                Schedule, name, lambda schedule: decisions.pause(schedule, ""), actor="tests"
            )
        )


def fates(store: Store, name: str) -> list[tuple[datetime, str]]:
    """What became of each moment, oldest record first."""
    found = []
    with closing(store.open_reader()) as reader:
        for stored in reversed(firings(reader, name, limit=100_000)):
            event = decode(stored.type, stored.schema, stored.data)
            if isinstance(event, ScheduleFired):
                found.append((from_instant(event.due_at), event.how))
            if isinstance(event, FiringSkipped):
                timing = decisions.definition_of(reader.subject(Schedule, name)).timing
                moments = timing.upcoming(from_instant(event.due_at) - MICROSECOND, event.count)
                assert moments[-1] == from_instant(event.until)
                found += [(moment, event.reason) for moment in moments]
    return found


def require_each_moment_once(store: Store, name: str) -> Counter[str]:
    """That every moment has one fate and every firing one job; how many there were of each fate."""
    found = fates(store, name)
    with closing(store.open_reader()) as reader:
        schedule = reader.subject(Schedule, name)
        assert schedule.created_at is not None
        assert schedule.decided_until is not None
        timing = decisions.definition_of(schedule).timing
        span = timing.span(from_instant(schedule.created_at), from_instant(schedule.decided_until))
        due = timing.upcoming(from_instant(schedule.created_at), span.count if span else 0)
        assert [moment for moment, how in found if how != "now"] == due
        submitted = [
            stored.job_id
            for stored in reader.all_events()
            if stored.type == JobSubmitted.__name__ and f'"schedule":"{name}"' in stored.data
        ]
        fired = [
            stored.recorded.event.job_id  # type: ignore[union-attr]
            for stored in reversed(firings(reader, name, limit=100_000))
            if stored.type == ScheduleFired.__name__
        ]
    assert submitted == fired
    assert len(set(fired)) == len(fired) == schedule.fired
    assert verify(store).is_sound
    return Counter(fate for _, fate in found)
