"""The stretches of a job's time: they follow each other without gap or overlap, whatever happened."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from jobs.job_builders import (
    BATCH,
    CANCELLED,
    CHECKPOINT,
    CLAIMED,
    COMPLETED,
    CRASHED,
    EPOCH,
    EXPIRED,
    FINISHED,
    REQUESTED,
    REQUEUED,
    RESUMED,
    STARTED,
    SUBMITTED,
    record,
)

from ktrdr.api.dashboard.attempts import attempts_of
from ktrdr.api.dashboard.job_page import bars
from ktrdr.api.dashboard.timeline import timeline
from ktrdr.clock import from_instant, to_instant
from ktrdr.jobs.events import Instant, JobEvent, Recorded

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SAVED = replace(FINISHED, name="save_model", number=11, total=11)
ANY = (
    CLAIMED, STARTED, FINISHED, SAVED, BATCH, EPOCH, CHECKPOINT, RESUMED, REQUESTED, EXPIRED, REQUEUED,
)  # fmt: skip
ENDS = (COMPLETED, CRASHED, CANCELLED)


def history(*happened: tuple[float, JobEvent]) -> list[Recorded]:
    """Events, each so many seconds after noon."""
    return [
        replace(recorded, at=to_instant(NOON + timedelta(seconds=seconds)))
        for recorded, (seconds, _) in zip(record(event for _, event in happened), happened, strict=True)
    ]


def after(seconds: float) -> Instant:
    return to_instant(NOON + timedelta(seconds=seconds))


def shown(happened: list[Recorded], until: float) -> list[tuple[str, float]]:
    return [
        (stretch.title, stretch.seconds) for stretch in timeline(happened, to_instant(NOON + timedelta(seconds=until)))
    ]


@given(
    middle=st.lists(st.tuples(st.sampled_from(ANY), st.integers(0, 1000)), max_size=25),
    end=st.none() | st.tuples(st.sampled_from(ENDS), st.integers(0, 1000)),
    more=st.integers(0, 1000),
)
def test_stretches_tile_the_time_exactly_whatever_happened(
    middle: list[tuple[JobEvent, int]], end: tuple[JobEvent, int] | None, more: int
) -> None:
    happened, now = [(0.0, SUBMITTED)], 0.0
    for event, milliseconds in [*middle, *([end] if end else [])]:
        now += milliseconds / 1000
        happened.append((now, event))
    recorded = history(*happened)
    until = now if end else now + more / 1000
    stretches = timeline(recorded, after(now + more / 1000))
    if until == 0:
        assert stretches == []
        return
    assert stretches[0].start == recorded[0].at
    assert from_instant(stretches[-1].end) == NOON + timedelta(seconds=until)
    for before, behind in itertools.pairwise(stretches):
        assert before.end == behind.start
    assert all(stretch.start < stretch.end for stretch in stretches)
    drawn = bars(stretches)
    assert abs(sum(bar.share for bar in drawn) - 1) < 1e-9
    assert all(abs(bar.x + bar.share * 1000 - behind.x) < 1e-6 for bar, behind in itertools.pairwise(drawn))


def test_waiting_starting_and_stages_take_their_time() -> None:
    happened = history(
        (0, SUBMITTED), (4, CLAIMED), (5, STARTED), (7, FINISHED), (7, replace(STARTED, name="save_model"))
    )
    assert shown(happened, 8) == [("waiting", 4.0), ("starting", 1.0), ("train model", 2.0), ("save model", 1.0)]


def test_a_lost_worker_is_silent_from_the_last_that_was_heard_of_it() -> None:
    happened = history(
        (0, SUBMITTED), (1, CLAIMED), (2, STARTED), (5, EPOCH), (20, EXPIRED), (20, REQUEUED),
        (22, replace(CLAIMED, attempt=2, lease_epoch=2)), (23, STARTED), (30, COMPLETED),
    )  # fmt: skip
    assert shown(happened, 99) == [
        ("waiting", 1.0), ("starting", 1.0), ("train model", 3.0), ("no word from the worker", 15.0),
        ("waiting again", 2.0), ("starting", 1.0), ("train model", 7.0),
    ]  # fmt: skip
    first, second = attempts_of(happened)
    assert (first.ended, first.outcome) == (after(20), "its worker was lost")
    assert (second.number, second.ended, second.outcome) == (2, after(30), "completed")


def test_a_cancellation_of_a_running_job_is_a_stretch_and_of_a_queued_one_none() -> None:
    running = history((0, SUBMITTED), (1, CLAIMED), (2, STARTED), (5, REQUESTED), (6, FINISHED), (7, CANCELLED))
    assert shown(running, 7)[-1] == ("stopping", 2.0)
    queued = history((0, SUBMITTED), (3, REQUESTED), (3, CANCELLED))
    assert shown(queued, 9) == [("waiting", 3.0)]
