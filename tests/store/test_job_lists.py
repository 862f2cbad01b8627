"""Lists of jobs: every filter gives what a plain filter over all jobs gives, and pages join to the whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_builders import BROKEN, COMPLETED, CRASHED, NOON
from store_steps import SettableClock, cancel, change, claim, matches, submit

from ktrdr.clock import later
from ktrdr.jobs import decide
from ktrdr.jobs.state import JobState, Status
from ktrdr.store import Log, Reader, open_store
from ktrdr.store.reader import JobFilter

NAMES, SYMBOLS = ["trend", "reversal", "naïve"], ["AAPL", "MSFT", "EUR/USD", "A=B"]
LABELS = {"desk": ["rates", "fx"], "note": ["a=b", "%", ""], "été": ["1"]}
POPULATION = 80


def _populate(log: Log, clock: SettableClock) -> None:
    chance = random.Random(7)
    for _ in range(POPULATION):
        clock.advance(chance.choice([0, 0, 1, 60]))
        job_id = submit(
            log,
            name=chance.choice(NAMES),
            symbols=tuple(chance.sample(SYMBOLS, chance.randint(1, 3))),
            labels={key: chance.choice(values) for key, values in LABELS.items() if chance.random() < 0.6},
            priority=100,
        )
        fate = chance.choice(["queued", "running", "cancelling", "cancelled", "completed", "failed", "requeued"])
        if fate == "cancelled":
            cancel(log, job_id)
        if fate in ("queued", "cancelled"):
            continue
        lease = claim(log, kind="host")
        assert lease is not None
        decisions: dict[str, Any] = {
            "running": _nothing,
            "cancelling": lambda state: decide.request_cancellation(state, by="", reason=""),
            "completed": lambda state, lease=lease: decide.complete(state, lease.lease_epoch, COMPLETED),
            "failed": lambda state, lease=lease: decide.fail(state, lease.lease_epoch, BROKEN),
            "requeued": lambda state, lease=lease: decide.fail(state, lease.lease_epoch, CRASHED),
        }
        change(log, lease.job_id, decisions[fate])


def _nothing(_state: JobState) -> tuple[()]:
    return ()


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Reader, list[tuple[int, JobState]]]]:
    """A reader, and all jobs with the positions of their submissions, newest first."""
    store = open_store(Path(tmp_path_factory.mktemp("population")))
    clock = SettableClock()
    log = Log(store.engine, store.doorbell, clock=clock)
    _populate(log, clock)
    log.close()
    reader = store.open_reader()
    submissions = [event for event in reader.all_events() if event.type == "JobSubmitted"]
    yield reader, [(event.position, reader.job(event.recorded.job_id)) for event in reversed(submissions)]
    reader.close()


moments = st.none() | st.integers(-100, 2000).map(lambda seconds: later(NOON, seconds))
filters = st.builds(
    JobFilter,
    statuses=st.lists(st.sampled_from(Status), max_size=3, unique=True),
    name=st.none() | st.sampled_from([*NAMES, "unknown"]),
    symbol=st.none() | st.sampled_from([*SYMBOLS, "unknown"]),
    labels=st.lists(
        st.sampled_from([(key, value) for key, values in LABELS.items() for value in [*values, "unknown"]]), max_size=3
    ),
    submitted_from=moments,
    submitted_until=moments,
)


def test_the_population_has_every_status(population: Any) -> None:
    reader, _ = population
    assert set(reader.status_counts()) == set(Status)


@settings(max_examples=150, deadline=None)
@given(wanted=filters)
def test_a_list_holds_what_a_plain_filter_gives_newest_first(population: Any, wanted: JobFilter) -> None:
    reader, everything = population
    assert reader.jobs(wanted, limit=1000) == [(at, state) for at, state in everything if matches(wanted, state)]


@settings(max_examples=40, deadline=None)
@given(wanted=filters, limit=st.integers(1, 30))
def test_pages_join_to_the_whole_list_without_gap_or_repeat(population: Any, wanted: JobFilter, limit: int) -> None:
    reader, _ = population
    joined: list[tuple[int, JobState]] = []
    before = None
    while page := reader.jobs(wanted, before=before, limit=limit):
        assert len(page) <= limit
        joined += page
        before = page[-1][0]
    assert joined == reader.jobs(wanted, limit=1000)


@pytest.mark.parametrize(("status", "name"), list(product(Status, NAMES)))
def test_filters_are_all_applied_together(population: Any, status: Status, name: str) -> None:
    reader, everything = population
    found = reader.jobs(JobFilter(statuses=[status], name=name), limit=1000)
    assert found == [(at, state) for at, state in everything if (state.status, state.name) == (status, name)]


def test_a_page_stays_where_it_is_while_new_jobs_come_in(log: Log, reader: Reader) -> None:
    old = [submit(log) for _ in range(4)]
    first = reader.jobs(JobFilter(), limit=2)
    submit(log)
    second = reader.jobs(JobFilter(), before=first[-1][0], limit=2)
    assert [state.job_id for _, state in first + second] == list(reversed(old))
