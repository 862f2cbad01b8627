"""Reading the log in pages, and what one process sees of another's writes."""

from __future__ import annotations

import pytest
from job_builders import BATCH, NOON, SUBMITTED
from store_steps import SettableClock, cancel, change, new_job_id, running_job, submit

from ktrdr.clock import later
from ktrdr.jobs import decide
from ktrdr.jobs.events import Instant, JobSubmitted
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.store import Log, Reader, Store


def test_an_empty_log_has_no_position_no_events_and_no_jobs(reader: Reader) -> None:
    assert (reader.last_position(), list(reader.all_events()), reader.status_counts()) == (0, [], {})


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
def test_pages_of_the_log_join_without_gap_or_repeat(log: Log, reader: Reader, page: int) -> None:
    for _ in range(3):
        change(log, running_job(log), lambda state: decide.report(state, 1, [BATCH]))
    assert [event.position for event in reader.all_events(page=page)] == list(range(1, 10))
    assert [event.position for event in reader.events(after=4, limit=3)] == [5, 6, 7]
    assert reader.events(after=9, limit=3) == []


def test_the_history_of_one_job_is_read_in_pages(log: Log, reader: Reader) -> None:
    job_id = running_job(log)
    submit(log)
    change(log, job_id, lambda state: decide.report(state, 1, [BATCH, BATCH]))
    pages, after = [], 0
    while page := reader.job_events(job_id, after=after, limit=2):
        pages.append([event.version for event in page])
        after = page[-1].position
    assert pages == [[1, 2], [3, 4]]


def test_a_reader_sees_each_commit_at_once_and_its_data_version_moves(store: Store, log: Log, reader: Reader) -> None:
    seen = reader.data_version()
    for position in range(1, 4):
        submit(log)
        assert reader.data_version() != seen
        assert reader.last_position() == position
        seen = reader.data_version()
    assert reader.data_version() == seen


def test_the_look_for_a_cancellation_finds_the_request_and_when_it_was_made(
    log: Log, reader: Reader, clock: SettableClock
) -> None:
    asked, other = running_job(log), running_job(log)
    assert reader.cancellation(asked) is None
    clock.advance(5)
    cancel(log, asked)
    assert reader.cancellation(asked) == (3, later(NOON, 5))
    assert reader.cancellation(other) is None
    assert reader.cancellation(new_job_id()) is None


def test_the_look_for_a_cancellation_uses_its_index(store: Store) -> None:
    with store.engine.connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT version FROM events WHERE job_id = ? AND type = 'CancellationRequested'", ("x",)
        ).fetchall()
    assert [row[3] for row in plan] == ["SEARCH events USING INDEX events_cancellations (job_id=?)"]


def test_an_unknown_job_is_refused(log: Log, reader: Reader) -> None:
    submit(log)
    for read in (reader.job, reader.submission):
        with pytest.raises(UnknownJobError, match="there is no job nowhere"):
            read("nowhere")  # type: ignore[arg-type]


def test_the_submission_of_a_job_is_what_was_submitted(log: Log, reader: Reader) -> None:
    job_id = running_job(log, priority=7)
    submission = reader.submission(job_id)
    assert (type(submission), submission.priority, submission.strategy) == (JobSubmitted, 7, SUBMITTED.strategy)


def test_jobs_are_counted_by_status(log: Log, reader: Reader) -> None:
    cancel(log, submit(log))
    running_job(log)
    submit(log)
    submit(log)
    assert reader.status_counts() == {"cancelled": 1, "running": 1, "queued": 2}


def test_the_position_at_a_moment_is_that_of_the_first_event_then_or_later(
    log: Log, reader: Reader, clock: SettableClock
) -> None:
    assert reader.position_at(NOON) == 1
    for seconds in (0, 0, 10, 0, 10):
        clock.advance(seconds)
        submit(log)
    moments = [Instant("1999-01-01T00:00:00.000000Z"), NOON, later(NOON, 5), later(NOON, 10), later(NOON, 99)]
    assert [reader.position_at(moment) for moment in moments] == [1, 1, 3, 3, 6]
    assert [reader.position_at(moment, after=True) for moment in moments] == [1, 3, 3, 5, 6]


def test_readers_in_several_connections_do_not_disturb_each_other(store: Store, log: Log, reader: Reader) -> None:
    other = store.open_reader()
    everything = reader.all_events(page=1)
    submit(log)
    submit(log)
    assert next(everything).position == 1
    submit(log)
    assert [event.position for event in other.all_events()] == [1, 2, 3]
    assert [event.position for event in everything] == [2, 3]
    other.close()
