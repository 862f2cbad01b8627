"""Every state, list and difference of the past is what a fold from scratch gives, at whatever position or instant."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_builders import BATCH, NOON, SUBMITTED
from store_steps import (
    Observer,
    SettableClock,
    change,
    claim,
    differences,
    live_through,
    matches,
    new_job_id,
    raw,
    running_job,
    submit,
)

from ktrdr.api.moments import read_position
from ktrdr.clock import later
from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId, Recorded
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.jobs.state import JobState, Status, evolve, fold, no_job
from ktrdr.store import Log, Reader, Store, open_store
from ktrdr.store.history import JobChange, changed_jobs, job_as_of, jobs_as_of
from ktrdr.store.projections import SNAPSHOT_VERSIONS
from ktrdr.store.reader import JobFilter
from ktrdr.training.faults import Fault

STEPS = 400
EVERYTHING = 10_000
#: Position of the submission → state, of one moment.
States = Mapping[int, JobState]


class Past:
    """A log that was lived through, and at each of its positions the states that a fold from scratch gives."""

    def __init__(self, home: Path) -> None:
        self.store = open_store(home)
        clock = SettableClock()
        log = Log(self.store.engine, self.store.doorbell, clock=clock)
        observer = Observer(self.store, log)
        live_through(log, clock, observer, STEPS)
        observer.close()
        log.close()
        self.reader = self.store.open_reader()
        self.recorded: list[Recorded] = [event.recorded for event in self.reader.all_events()]
        submitted_at: dict[JobId, int] = {}
        self.states: list[States] = [{}]
        for entry in self.recorded:
            place = submitted_at.setdefault(entry.job_id, entry.position)
            before = self.states[-1].get(place, no_job(entry.job_id))
            self.states.append({**self.states[-1], place: evolve(before, entry)})

    @property
    def end(self) -> int:
        return len(self.recorded)

    def jobs(self, position: int, wanted: JobFilter) -> list[tuple[int, JobState]]:
        found = [(place, state) for place, state in self.states[position].items() if matches(wanted, state)]
        return sorted(found, reverse=True)

    def changes(self, first: int, last: int) -> list[JobChange]:
        before, after = self.states[first], self.states[last]
        found = [JobChange(place, before.get(place), state) for place, state in after.items()]
        return sorted((one for one in found if one.before != one.after), key=lambda one: -one.submitted_position)


@pytest.fixture(scope="module", params=["as it was written", "rebuilt", "rebuilt without snapshots"])
def past(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    past = Past(tmp_path_factory.mktemp("past"))
    if request.param != "as it was written":
        connection = raw(past.store)
        for table in ("leases", "job_terms", "jobs", "snapshots"):
            connection.execute(f"DELETE FROM {table}")
        connection.close()
        assert differences(past.store) != ()
    if request.param == "rebuilt without snapshots":
        connection = raw(past.store)
        assert connection.execute("DELETE FROM snapshots").rowcount > 0
        connection.close()
    yield past
    past.reader.close()


def test_the_past_has_every_status_and_jobs_with_several_snapshots(past: Past) -> None:
    assert {state.status for states in past.states for state in states.values()} == set(Status)
    assert max(state.version for state in past.states[-1].values()) > 2 * SNAPSHOT_VERSIONS


def test_any_job_at_a_thousand_random_positions_is_the_fold_of_its_events_up_to_there(past: Past) -> None:
    chance = random.Random(1)
    jobs = {entry.position: entry.job_id for entry in past.recorded if entry.version == 1}
    for _ in range(1000):
        position, place = chance.randint(0, past.end), chance.choice(list(jobs))
        history = [one for one in past.recorded if one.job_id == jobs[place] and one.position <= position]
        assert job_as_of(past.reader, jobs[place], position) == (fold(history) if history else None)


def test_any_list_at_a_thousand_random_positions_holds_what_a_plain_filter_of_the_folds_gives(past: Past) -> None:
    chance = random.Random(2)
    for _ in range(1000):
        position = chance.randint(0, past.end)
        statuses = chance.sample(list(Status), chance.randint(0, 2))
        wanted = JobFilter(statuses=statuses, name=chance.choice([None, "trend", "other"]))
        limit, before = chance.choice([1, 5, EVERYTHING]), chance.choice([None, chance.randint(1, past.end)])
        expected = [(place, state) for place, state in past.jobs(position, wanted) if not before or place < before]
        assert jobs_as_of(past.reader, position, wanted, before=before, limit=limit) == expected[:limit]


def test_what_changed_between_any_two_positions_is_what_two_folds_differ_in(past: Past) -> None:
    chance = random.Random(3)
    for _ in range(200):
        first, last = sorted(chance.choices(range(past.end + 1), k=2))
        if chance.random() < 0.5:
            last = min(past.end, first + chance.randint(0, 3))
        assert changed_jobs(past.reader, first, last, limit=EVERYTHING) == past.changes(first, last)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_pages_of_the_past_join_to_the_whole_list_without_gap_or_repeat(past: Past, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, past.end))
    wanted = JobFilter(statuses=data.draw(st.lists(st.sampled_from(Status), max_size=3, unique=True)))
    limit = data.draw(st.integers(1, 30))
    joined: list[tuple[int, JobState]] = []
    before = None
    while page := jobs_as_of(past.reader, position, wanted, before=before, limit=limit):
        assert len(page) <= limit
        joined += page
        before = page[-1][0]
    assert joined == past.jobs(position, wanted)


def test_pages_of_changes_join_to_the_whole_list(past: Past) -> None:
    first, last = past.end // 3, past.end
    joined: list[JobChange] = []
    before = None
    while page := changed_jobs(past.reader, first, last, before=before, limit=3):
        joined += page
        before = page[-1].submitted_position
    assert joined == past.changes(first, last)
    assert len(joined) > 10


def test_an_instant_means_the_newest_event_recorded_until_then(past: Past) -> None:
    chance = random.Random(4)
    faults: list[Fault] = []
    for _ in range(1000):
        instant = later(NOON, chance.randint(-10, 10 + 5 * STEPS) / chance.choice([1, 2]))
        expected = sum(entry.at <= instant for entry in past.recorded)
        assert read_position(instant, "as_of", faults, past.reader) == expected
    assert not faults


def test_the_present_is_the_newest_position(past: Past) -> None:
    for statuses in ((), *((status,) for status in Status)):
        wanted = JobFilter(statuses=statuses)
        now = past.reader.jobs(wanted, limit=EVERYTHING)
        assert jobs_as_of(past.reader, past.end, wanted, limit=EVERYTHING) == now


def test_a_job_that_was_never_submitted_is_refused(past: Past) -> None:
    with pytest.raises(UnknownJobError):
        job_as_of(past.reader, new_job_id(), past.end)


def test_a_long_queue_of_the_past_is_read_in_pages_after_it_was_worked_off(log: Log, reader: Reader) -> None:
    queued = [new_job_id() for _ in range(1100)]
    log.write_all([_submission(job_id) for job_id in queued])
    running = claim(log)
    assert running is not None
    position = reader.last_position()
    log.write_all([_cancellation(job_id) for job_id in queued[1:]])
    change(log, running.job_id, lambda state: decide.report(state, 1, [BATCH]))

    def ids(*statuses: Status, limit: int) -> list[JobId]:
        found = jobs_as_of(reader, position, JobFilter(statuses=statuses), limit=limit)
        return [state.job_id for _, state in found]

    assert ids(Status.QUEUED, limit=EVERYTHING) == queued[:0:-1]
    assert ids(Status.QUEUED, limit=7) == queued[:-8:-1]
    assert ids(Status.RUNNING, limit=7) == queued[:1]
    assert ids(Status.CANCELLED, limit=7) == []
    assert [one.after.job_id for one in changed_jobs(reader, position, position + 2, limit=7)] == [queued[1]]


def _submission(job_id: JobId) -> Any:
    return lambda transaction: transaction.change(job_id, lambda state: decide.submit(state, SUBMITTED), actor="")


def _cancellation(job_id: JobId) -> Any:
    def decision(state: JobState) -> Any:
        return decide.request_cancellation(state, by="", reason="")

    return lambda transaction: transaction.change(job_id, decision, actor="")


def _long_job(log: Log) -> JobId:
    """A job with two snapshots, one of them in the middle of an append."""
    job_id = running_job(log)
    for count in (SNAPSHOT_VERSIONS - 10, 50, SNAPSHOT_VERSIONS):
        change(log, job_id, lambda state, count=count: decide.report(state, 1, [BATCH] * count))
    return job_id


def _snapshots(store: Store) -> list[Any]:
    connection = raw(store)
    rows = connection.execute("SELECT * FROM snapshots ORDER BY job_id, position").fetchall()
    connection.close()
    return [*rows]


def test_a_snapshot_is_kept_of_every_hundredth_version_wherever_an_append_ends(store: Store, log: Log) -> None:
    submit(log, priority=-1)
    job_id = _long_job(log)
    kept = [(row[0], row[1], row[2]) for row in _snapshots(store)]
    assert kept == [(job_id, version + 1, version) for version in (SNAPSHOT_VERSIONS, 2 * SNAPSHOT_VERSIONS)]


def test_a_state_of_the_past_begins_with_the_newest_snapshot_before_it(store: Store, log: Log, reader: Reader) -> None:
    job_id = _long_job(log)
    connection = raw(store)
    connection.execute("UPDATE snapshots SET state = replace(state, 'trend', 'marked')")
    connection.close()
    names = [reader.state_at(job_id, position).name for position in (SNAPSHOT_VERSIONS - 1, SNAPSHOT_VERSIONS, 150)]
    assert names == ["trend", "marked", "marked"]


DAMAGED = {
    "state": "UPDATE snapshots SET state = replace(state, 'trend', 'other')",
    "no JSON": "UPDATE snapshots SET state = 'x'",
    "version": f"UPDATE snapshots SET version = 7 WHERE version = {SNAPSHOT_VERSIONS}",
    "position": f"UPDATE snapshots SET position = position + 1 WHERE version = {SNAPSHOT_VERSIONS}",
    "between two that should be there": "INSERT INTO snapshots SELECT job_id, 7, 7, state FROM snapshots LIMIT 1",
    "beyond the end": "INSERT INTO snapshots SELECT job_id, 900, 900, state FROM snapshots LIMIT 1",
    "of no job": "INSERT INTO snapshots SELECT 'nowhere', 7, 7, state FROM snapshots LIMIT 1",
    "of a job without any": "INSERT INTO snapshots SELECT (SELECT job_id FROM events WHERE position = 1), 7, 7, '{}'",
}


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_snapshot_is_found_and_repaired(store: Store, log: Log, damaged: str) -> None:
    submit(log, priority=-1)
    _long_job(log)
    good = _snapshots(store)
    connection = raw(store)
    assert connection.execute(DAMAGED[damaged]).rowcount > 0
    connection.close()
    bad = _snapshots(store)

    found = differences(store, repair=False)
    assert [difference.projection for difference in found] == ["snapshots"]
    assert _snapshots(store) == bad, "looking changed something"
    assert differences(store) == found
    assert differences(store) == ()
    assert _snapshots(store) == good


def test_a_missing_snapshot_is_no_difference_and_is_made_again(store: Store, log: Log, reader: Reader) -> None:
    job_id = _long_job(log)
    good, before = _snapshots(store), reader.state_at(job_id, 220)
    connection = raw(store)
    connection.execute("DELETE FROM snapshots")
    connection.close()
    assert reader.state_at(job_id, 220) == before
    assert differences(store, repair=False) == ()
    assert _snapshots(store) == []
    assert differences(store) == ()
    assert _snapshots(store) == good
