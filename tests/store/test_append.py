"""One append path: what is written is whole, in order, timed by the log, and refused if the job has changed."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from job_builders import BATCH, CLAIMED, EPOCH, NOON, STARTED, SUBMITTED
from store_steps import SettableClock, cancel, change, new_job_id, running_job, submit

from ktrdr.clock import later
from ktrdr.jobs import decide
from ktrdr.jobs.codec import leaf_hash
from ktrdr.jobs.events import JobSubmitted
from ktrdr.jobs.refusals import StaleVersionError
from ktrdr.jobs.state import NO_JOB, fold
from ktrdr.store import Log, Reader, Store
from ktrdr.store.log import Transaction


def test_what_was_written_is_read_by_another_connection_with_its_envelope(log: Log, reader: Reader) -> None:
    job_id = running_job(log)
    first, second = reader.events(limit=10)
    assert first.recorded.event == SUBMITTED
    assert (first.position, first.version, first.type, first.schema) == (1, 1, "JobSubmitted", 2)
    assert (second.position, second.version, second.job_id) == (2, 2, job_id)
    assert (second.actor, second.recorded_at) == ("worker:w1", NOON)
    assert reader.job(job_id) == fold([first.recorded, second.recorded])


def test_each_leaf_hash_covers_the_stored_row(log: Log, reader: Reader) -> None:
    cancel(log, running_job(log))
    for row in reader.events(limit=10):
        assert row.leaf_hash == leaf_hash(
            position=row.position,
            job_id=row.job_id,
            version=row.version,
            event_type=row.type,
            schema=row.schema,
            data=row.data,
            actor=row.actor,
            at=row.recorded_at,
        )


def test_appending_nothing_writes_nothing(log: Log, reader: Reader) -> None:
    job_id = running_job(log)
    state = change(log, job_id, lambda state: decide.report(state, 1, []))
    assert (state, reader.last_position()) == (reader.job(job_id), 2)


def test_an_append_to_a_job_that_has_changed_is_refused_and_writes_nothing(log: Log, reader: Reader) -> None:
    job_id = running_job(log)
    old = reader.job(job_id)
    change(log, job_id, lambda state: decide.report(state, 1, [STARTED, EPOCH]))
    with pytest.raises(StaleVersionError, match=f"job {job_id} is at version 4, not 2"):
        log.write(lambda transaction: transaction.append(old, [BATCH], actor="test"))
    assert (reader.last_position(), reader.job(job_id).version) == (4, 4)


def test_a_second_submission_under_the_same_id_is_refused(log: Log, reader: Reader) -> None:
    job_id = submit(log)
    with pytest.raises(StaleVersionError, match=f"job {job_id} is at version 1, not 0"):
        log.write(lambda transaction: transaction.append(replace(NO_JOB, job_id=job_id), [SUBMITTED], actor="test"))
    with pytest.raises(StaleVersionError, match=f"job {job_id} is at version 1, not 0"):
        change(log, job_id, lambda state: decide.submit(state, SUBMITTED))
    assert reader.last_position() == 1


def test_an_operation_that_survives_a_stale_append_may_append_elsewhere(log: Log, reader: Reader) -> None:
    old_id = submit(log)
    stale = replace(reader.job(old_id), version=7)
    job_id = new_job_id()

    def operation(transaction: Transaction) -> None:
        with pytest.raises(StaleVersionError):
            transaction.append(stale, [BATCH], actor="test")
        transaction.append(replace(NO_JOB, job_id=job_id), [SUBMITTED], actor="test")

    log.write(operation)
    assert [row.job_id for row in reader.events(limit=10)] == [old_id, job_id]


def test_of_two_writers_that_read_the_same_state_one_wins(store: Store, log: Log, reader: Reader) -> None:
    state = reader.job(submit(log))
    start, outcomes = threading.Barrier(2), []

    def race(worker: str) -> None:
        own = store.open_log()
        start.wait(60)
        try:
            own.write(lambda transaction: transaction.append(state, [replace(CLAIMED, worker=worker)], actor=worker))
            outcomes.append("won")
        except StaleVersionError:
            outcomes.append("refused")
        own.close()

    racers = [threading.Thread(target=race, args=(worker,)) for worker in ("w1", "w2")]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert sorted(outcomes) == ["refused", "won"]
    assert reader.last_position() == 2


def test_time_in_the_log_never_goes_back_when_the_clock_does(log: Log, reader: Reader, clock: SettableClock) -> None:
    for seconds in (0, 5, -3600, -1, 3590, 100):
        clock.advance(seconds)
        submit(log)
    expected = [NOON, *[later(NOON, 5)] * 4, later(NOON, 94)]
    assert [row.recorded_at for row in reader.events(limit=10)] == expected


def test_time_in_the_log_does_not_go_back_either_where_a_new_process_writes(
    store: Store, log: Log, reader: Reader, clock: SettableClock
) -> None:
    clock.now += timedelta(days=365_0)
    submit(log)
    later_log = store.open_log()
    submit(later_log)
    later_log.close()
    first, second = reader.events(limit=10)
    assert first.recorded_at == second.recorded_at


def test_a_job_begins_with_its_submission(log: Log) -> None:
    with pytest.raises(TypeError, match="a job begins with JobSubmitted, not JobClaimed"):
        log.write(lambda transaction: transaction.append(replace(NO_JOB, job_id=new_job_id()), [CLAIMED], actor=""))


def test_texts_of_every_kind_are_kept(log: Log, reader: Reader) -> None:
    names = ["naïve ☕", "\U0001f600", "a\x00b", 'quote " and \\', "x" * 100_000]
    submitted: list[JobSubmitted] = [reader.submission(submit(log, name=name, labels={name: name})) for name in names]
    assert [(one.name, one.labels) for one in submitted] == [(name, {name: name}) for name in names]
