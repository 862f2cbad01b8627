"""The figures of a process of its own: right after a restart, and what of the database they tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from jobs.job_builders import BATCH, CHECKPOINT, CLAIMANT, EPOCH, SUBMITTED
from scrapes import Scrape, by_label, read, value
from sqlalchemy import insert, text

from ktrdr.api.jobs import create_job
from ktrdr.api.observing.exposition import Exposition
from ktrdr.api.observing.traffic import Traffic
from ktrdr.jobs import decide
from ktrdr.jobs.events import JobEvent, JobFailed
from ktrdr.jobs.state import JobState
from ktrdr.store import Store, leases, open_store
from ktrdr.store.group_commit import GroupCommit
from ktrdr.store.log import Log
from ktrdr.store.schema import strategies

Result = TypeVar("Result")
CRASHED = JobFailed(kind="process_died", message="it died", where="", fix="", retryable=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


@pytest.fixture
def log(store: Store) -> Iterator[Log]:
    log = store.open_log()
    yield log
    log.close()


def with_exposition(store: Store, use: Callable[[Exposition], Awaitable[Result]]) -> Result:
    async def once() -> Result:
        exposition = Exposition(store, Traffic())
        try:
            return await use(exposition)
        finally:
            await exposition.close()

    return asyncio.run(once())


async def told(exposition: Exposition) -> Scrape:
    return read((await exposition.text()).decode())


def submit(log: Log) -> JobState:
    return log.write(partial(create_job, submitted=SUBMITTED, actor="test"))


def claim(log: Log) -> JobState:
    state = log.write(partial(leases.claim_next, claimant=CLAIMANT))
    assert state is not None
    return state


def change(log: Log, job: JobState, decided: Callable[[JobState], tuple[JobEvent, ...]]) -> JobState:
    return log.write(lambda transaction: transaction.change(job.job_id, decided, actor="test"))


def test_what_is_counted_for_ever_is_right_after_a_restart_also_of_jobs_in_the_middle(store: Store, log: Log) -> None:
    for _ in range(5):
        submit(log)
    done, running, cancelling = claim(log), claim(log), claim(log)
    change(log, done, lambda state: decide.fail(state, 1, CRASHED))  # which puts it back into the queue
    change(log, running, lambda state: decide.report(state, 1, [BATCH]))
    change(log, cancelling, lambda state: decide.request_cancellation(state, by="test", reason=""))

    async def use(exposition: Exposition) -> None:
        found = await told(exposition)
        assert value(found, "ktrdr_jobs_submitted_total") == 5
        expected = {"queued": 3, "running": 1, "cancelling": 1, "completed": 0, "failed": 0, "cancelled": 0}
        assert by_label(found, "ktrdr_jobs", "status") == expected
        change(log, running, lambda state: decide.report(state, 1, [EPOCH, CHECKPOINT]))
        change(log, running, lambda state: decide.release(state, 1, message="stopped"))
        change(
            log,
            cancelling,
            lambda state: decide.acknowledge_cancellation(
                state, 1, outcome=decide.CancelOutcome.STOPPED, batches_after_request=0, where=""
            ),
        )
        found = await told(exposition)
        assert by_label(found, "ktrdr_jobs", "status") == expected | {"queued": 4, "running": 0, "cancelling": 0} | {
            "cancelled": 1
        }
        assert value(found, "ktrdr_jobs_ended_total", status="cancelled") == 1
        assert value(found, "ktrdr_cancel_to_end_seconds_count") == 1  # requested before this process began
        assert value(found, "ktrdr_training_epochs_total", worker_kind=CLAIMANT.kind) == 1
        assert value(found, "ktrdr_training_batches_total", worker_kind=CLAIMANT.kind) == BATCH.batches
        assert by_label(found, "ktrdr_requeues_total", "reason") == {"released": 1}
        assert by_label(found, "ktrdr_attempt_seconds_count", "outcome") == {"released": 1, "cancelled": 1}

    with_exposition(store, use)


def test_the_counts_are_those_of_the_tables_whatever_happens(store: Store, log: Log) -> None:
    async def use(exposition: Exposition) -> None:
        for round_ in range(4):
            jobs = [submit(log) for _ in range(3)]
            state = claim(log)
            change(log, state, lambda state: decide.fail(state, state.lease_epoch, CRASHED))
            change(log, jobs[round_ % 3], lambda state: decide.request_cancellation(state, by="test", reason=""))
            found = await told(exposition)
            counts = {status: n for status, n in by_label(found, "ktrdr_jobs", "status").items() if n}
            reader = store.open_reader()
            assert counts == reader.status_counts()
            reader.close()

    with_exposition(store, use)


def test_renewals_of_leases_are_counted_as_far_as_scrapes_see_them(store: Store, log: Log) -> None:
    submit(log)
    job = claim(log)

    async def use(exposition: Exposition) -> None:
        before = value(await told(exposition), "ktrdr_lease_renewals_total")
        for _ in range(3):
            log.write(partial(leases.renew, job_id=job.job_id, lease_epoch=1))
        assert value(await told(exposition), "ktrdr_lease_renewals_total") == before + 3

    with_exposition(store, use)


def test_commits_of_the_api_are_timed_and_counted(store: Store, log: Log) -> None:
    async def use(exposition: Exposition) -> Scrape:
        writes = GroupCommit(log, exposition.commit_took)
        operation = partial(create_job, submitted=SUBMITTED, actor="test")
        await asyncio.gather(*(writes.write(operation) for _ in range(5)))
        await writes.close()
        return await told(exposition)

    found = with_exposition(store, use)
    assert value(found, "ktrdr_commit_operations_total") == 5
    assert 1 <= value(found, "ktrdr_commit_seconds_count") < 5
    assert value(found, "ktrdr_commit_seconds_sum") > 0


def test_a_reader_that_keeps_the_write_ahead_log_growing_is_told_until_it_ends(store: Store, log: Log) -> None:
    def write_much(name: str) -> None:
        row = {"name": name, "source": "x" * 20_000_000, "stored_at": ""}
        with store.engine.connect() as writing:
            writing.exec_driver_sql("BEGIN IMMEDIATE")
            writing.execute(insert(strategies), row)
            writing.exec_driver_sql("COMMIT")

    async def use(exposition: Exposition) -> None:
        assert value(await told(exposition), "ktrdr_oldest_reader_seconds") == 0
        with store.engine.connect() as reading:
            reading.exec_driver_sql("BEGIN")
            reading.execute(text("SELECT count(*) FROM jobs")).fetchall()
            write_much("one")
            await exposition.text()
            found = await told(exposition)
            assert value(found, "ktrdr_oldest_reader_seconds") > 0
            assert value(found, "ktrdr_wal_unmoved_pages") > 4000
            assert value(found, "ktrdr_wal_pages") >= value(found, "ktrdr_wal_unmoved_pages")
            reading.exec_driver_sql("COMMIT")
        write_much("two")  # this commit moves everything
        found = await told(exposition)
        assert value(found, "ktrdr_oldest_reader_seconds") == 0
        assert value(found, "ktrdr_wal_unmoved_pages") < 4000

    with_exposition(store, use)
