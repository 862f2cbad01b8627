"""Which moments fire, and what becomes of those that were missed, for any clock and any policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrdr.clock import from_instant, to_instant
from ktrdr.jobs.events import Instant, JobId, Position, Recorded, ServiceEvent
from ktrdr.jobs.identity import is_job_id
from ktrdr.jobs.refusals import ScheduleBusyError, ScheduleExistsError, UnknownScheduleError
from ktrdr.jobs.service import schedule_decisions as decisions
from ktrdr.jobs.service.definition import read_definition
from ktrdr.jobs.service.events import FiringSkipped, ScheduleFired
from ktrdr.jobs.service.schedule_decisions import Fire, Skip
from ktrdr.jobs.service.schedules import Schedule
from ktrdr.jobs.service.subjects import evolve_subject, subject_data, subject_from_data, subject_id
from ktrdr.jobs.service.timing import Timing
from ktrdr.jobs.state import JobState, Status, no_job

CREATED = datetime(2024, 3, 30, 20, tzinfo=UTC)


def definition(**changes: Any) -> dict[str, Any]:
    return {
        "cron": "*/10 * * * *", "every": None, "timezone": "Europe/Berlin", "start": None, "end": None,
        "misfire": "once", "grace_seconds": 60, "overlap": "skip", "window": None, "end_lag": None,
        "window_ends": "due", "seed": "request",
        "job": {"strategy": "trend_follower"},
    } | changes  # fmt: skip


def append(schedule: Schedule, events: Iterable[ServiceEvent], now: datetime) -> Schedule:
    for event in events:
        recorded = Recorded(
            position=Position(schedule.position + 1), job_id=schedule.id, version=schedule.version + 1,
            at=to_instant(now), actor="tests", event=event,
        )  # fmt: skip
        schedule = evolve_subject(schedule, recorded)
    return schedule


def created(now: datetime = CREATED, **changes: Any) -> Schedule:
    blank = Schedule(id=subject_id(Schedule, "nightly"))
    return append(blank, decisions.create(blank, definition(**changes)), now)


@dataclass
class Observed:
    """What a schedule did."""

    schedule: Schedule
    fates: list[tuple[datetime, str]]

    def record(self, events: Sequence[ServiceEvent], now: datetime) -> None:
        for event in events:
            if isinstance(event, ScheduleFired):
                self.fates.append((from_instant(event.due_at), event.how))
            if isinstance(event, FiringSkipped):
                timing = decisions.definition_of(self.schedule).timing
                passed = timing.upcoming(from_instant(event.due_at) - timedelta(microseconds=1), event.count)
                assert passed[-1] == from_instant(event.until)
                self.fates += [(moment, event.reason) for moment in passed]
        self.schedule = append(self.schedule, events, now)

    def look(self, now: datetime) -> None:
        while action := decisions.next_action(self.schedule, to_instant(now)):
            decided = (
                decisions.skip(action) if isinstance(action, Skip) else decisions.fire(self.schedule, action, None)
            )
            self.record(decided, now)


def due_until(timing: Timing, after: datetime, until: datetime) -> list[datetime]:
    return list(takewhile(lambda moment: moment <= until, timing.moments(after)))


def what_should_be(
    pending: list[datetime], now: datetime, misfire: str, grace: timedelta, most: int
) -> dict[datetime, str]:
    """The rules for the moments that a look finds, as one says them."""
    in_time = [moment for moment in pending if now - moment <= grace]
    missed = [moment for moment in pending if now - moment > grace]
    made_up_for = {"skip": [], "all": missed[-most:], "once": [] if in_time else missed[-1:]}[misfire]
    return {
        **dict.fromkeys(missed, "misfire"),
        **dict.fromkeys(made_up_for, "catch_up"),
        **dict.fromkeys(in_time, "due"),
    }


timings = st.sampled_from(
    [
        {"cron": "*/10 * * * *"},
        {"cron": "0,7 1-4 * * *"},
        {"cron": "30 2 * * sun"},
        {"cron": None, "every": "7m", "start": to_instant(CREATED)},
        {"cron": None, "every": "3h", "start": to_instant(CREATED + timedelta(hours=5))},
        {"cron": "*/15 * * * *", "end": to_instant(CREATED + timedelta(hours=9))},
        {"cron": "*/15 * * * *", "start": to_instant(CREATED + timedelta(hours=2)), "timezone": "America/New_York"},
    ]
)
#: Seconds from look to look; below 0 the clock was set back.
steps = st.lists(st.one_of(st.integers(-7_200, 0), st.integers(0, 1_200), st.integers(0, 20_000)), max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    timing=timings, misfire=st.sampled_from(["skip", "once", "all"]), grace=st.sampled_from([0, 60, 900, 7_200]),
    steps=steps,
)  # fmt: skip
def test_every_moment_has_one_fate_and_the_right_one(
    timing: dict[str, Any], misfire: str, grace: int, steps: list[int]
) -> None:
    observed = Observed(created(**timing, misfire=misfire, grace_seconds=grace, overlap="queue"), [])
    moments = read_definition(definition(**timing)).timing
    clock, expected, newest = CREATED, dict[datetime, str](), CREATED
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decisions, "MOST_MISSED", 5)
        for step in steps:
            clock += timedelta(seconds=step)
            observed.look(clock)
            pending = due_until(moments, newest, clock)
            expected |= what_should_be(pending, clock, misfire=misfire, grace=timedelta(seconds=grace), most=5)
            newest = max([newest, *pending])
    assert observed.fates == sorted(expected.items())
    fired = [how for _, how in observed.fates if how != "misfire"]
    assert (observed.schedule.fired, observed.schedule.skipped) == (len(fired), len(observed.fates) - len(fired))
    assert subject_from_data(subject_data(observed.schedule)) == observed.schedule


@settings(max_examples=40, deadline=None)
@given(timing=timings, looks=st.lists(st.integers(0, 20_000), min_size=4, max_size=4), is_changed=st.booleans())
def test_what_came_due_while_it_was_paused_is_told_when_it_goes_on(
    timing: dict[str, Any], looks: list[int], is_changed: bool
) -> None:
    first, paused, later, resumed = (CREATED + timedelta(seconds=seconds) for seconds in sorted(looks))
    observed = Observed(created(**timing, misfire="all", overlap="queue"), [])
    observed.look(first)
    observed.look(paused)
    observed.record(decisions.pause(observed.schedule, "holidays"), paused)
    assert decisions.next_action(observed.schedule, to_instant(later)) is None
    assert decisions.next_due(observed.schedule, to_instant(later)) is None
    if is_changed:
        other = definition(**timing, misfire="all", overlap="queue", grace_seconds=5)
        observed.record(decisions.change(observed.schedule, other, to_instant(later)), later)
    observed.record(decisions.resume(observed.schedule, to_instant(resumed)), resumed)
    observed.look(resumed)
    moments = read_definition(definition(**timing)).timing
    assert [moment for moment, _ in observed.fates] == due_until(moments, CREATED, resumed)
    assert {fate for moment, fate in observed.fates if moment > paused} <= {"paused"}
    assert not observed.schedule.is_paused


def a_job(schedule: Schedule, status: Status) -> JobState:
    return JobState(job_id=JobId(schedule.last_job_id or ""), version=1, status=status)


@pytest.mark.parametrize(
    ("status", "overlap", "fires"),
    [
        (Status.QUEUED, "skip", False),
        (Status.RUNNING, "skip", False),
        (Status.CANCELLING, "skip", False),
        (Status.COMPLETED, "skip", True),
        (Status.FAILED, "skip", True),
        (Status.CANCELLED, "skip", True),
        (Status.RUNNING, "queue", True),
    ],
)
def test_a_job_waits_for_the_one_before_if_the_schedule_says_so(status: Status, overlap: str, fires: bool) -> None:
    now = CREATED + timedelta(minutes=10)
    schedule = created(overlap=overlap)
    schedule = append(schedule, decisions.fire(schedule, Fire(now, "due"), None), now)
    before = a_job(schedule, status)
    (event,) = decisions.fire(schedule, Fire(now + timedelta(minutes=10), "due"), before)
    asked_at = to_instant(now + timedelta(minutes=11))
    if fires:
        assert isinstance(event, ScheduleFired)
        assert isinstance(decisions.fire_now(schedule, asked_at, before)[0], ScheduleFired)
    else:
        assert isinstance(event, FiringSkipped)
        assert (event.reason, event.job_id, event.count) == ("overlap", before.job_id, 1)
        assert event.detail == f"job {before.job_id} of the firing before is {status}"
        with pytest.raises(ScheduleBusyError, match=f"job {before.job_id} of schedule nightly is {status}"):
            decisions.fire_now(schedule, asked_at, before)


def test_a_firing_has_one_id_whoever_fires_it_and_no_other_has_it() -> None:
    schedule, again = created(), created(CREATED + timedelta(days=1))
    due_at = to_instant(CREATED + timedelta(days=2))
    ids = [
        decisions.job_id_of(schedule, due_at, "due"),
        decisions.job_id_of(schedule, due_at, "now"),
        decisions.job_id_of(append(schedule, decisions.pause(schedule, ""), CREATED), due_at, "now"),
        decisions.job_id_of(schedule, Instant(due_at.replace("00Z", "01Z")), "due"),
    ]
    assert all(map(is_job_id, ids))
    assert len(set(ids)) == len(ids)
    assert decisions.job_id_of(schedule, due_at, "catch_up") == ids[0] == decisions.job_id_of(again, due_at, "due")
    # A schedule that takes the place of one that was deleted has jobs of its own.
    deleted = append(schedule, decisions.delete(schedule, to_instant(CREATED)), CREATED)
    replaced = append(deleted, decisions.create(deleted, definition()), CREATED)
    assert decisions.job_id_of(replaced, due_at, "due") not in ids
    assert decisions.seed_of(replaced, due_at) != decisions.seed_of(schedule, due_at)


def test_a_schedule_that_takes_the_place_of_another_begins_anew() -> None:
    now = CREATED + timedelta(minutes=10)
    schedule = created()
    schedule = append(schedule, decisions.fire(schedule, Fire(now, "due"), None), now)
    schedule = append(schedule, decisions.pause(schedule, "enough"), now)
    schedule = append(schedule, decisions.delete(schedule, to_instant(now)), now)
    assert not schedule.exists
    assert decisions.next_action(schedule, to_instant(now + timedelta(days=1))) is None
    schedule = append(schedule, decisions.create(schedule, definition(cron="0 6 * * *")), now)
    assert (schedule.fired, schedule.is_paused, schedule.last_job_id, schedule.generation) == (0, False, None, 5)


def test_what_makes_no_sense_is_refused() -> None:
    schedule, none = created(), Schedule(id=subject_id(Schedule, "other"))
    with pytest.raises(ScheduleExistsError, match="there is a schedule nightly already"):
        decisions.create(schedule, definition())
    now = to_instant(CREATED)
    for command in (
        lambda: decisions.change(none, definition(), now),
        lambda: decisions.pause(none, ""),
        lambda: decisions.resume(none, now),
        lambda: decisions.delete(none, now),
        lambda: decisions.fire_now(none, now, no_job(JobId(""))),
    ):
        with pytest.raises(UnknownScheduleError, match="there is no schedule other"):
            command()


def test_what_changes_nothing_records_nothing() -> None:
    schedule, now = created(), to_instant(CREATED + timedelta(hours=3))
    assert decisions.change(schedule, definition(), now) == ()
    assert decisions.resume(schedule, now) == ()
    paused = append(schedule, decisions.pause(schedule, "a"), CREATED)
    assert decisions.pause(paused, "b") == ()
