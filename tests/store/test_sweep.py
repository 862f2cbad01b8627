"""The scheduler's look at what is due: by its own steady clock, twice without harm, and whatever fails in between."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pysqlite3
import pytest
from job_builders import BATCH, NOON
from running_service import PATIENCE_SECONDS, wait_until
from store_steps import CPU, GPU, SettableClock, beat, cancel, change, claim, raw, running_job, submit

from ktrdr.clock import later
from ktrdr.jobs import decide
from ktrdr.jobs.events import Target
from ktrdr.jobs.queue import NO_GPU_SECONDS
from ktrdr.jobs.state import Status
from ktrdr.jobs.workers import WorkerState
from ktrdr.scheduler import sweep as sweeping
from ktrdr.scheduler.sweep import REMEMBERED_SECONDS, Sweep
from ktrdr.store import LEASE_SECONDS, Log, Reader, Store, leases

HOUR = 3600


@pytest.fixture
def sweep(store: Store, log: Log) -> Iterator[Sweep]:
    reader = store.open_reader()
    yield Sweep(log, reader, store.lease_seconds)
    reader.close()


def _states(reader: Reader) -> dict[str, WorkerState]:
    return {worker.name: worker.state for worker in reader.workers()}


def test_a_worker_that_falls_silent_is_lost_and_its_job_is_queued_again(log: Log, reader: Reader, sweep: Sweep) -> None:
    beat(log, "w1")
    beat(log, "w2")
    job_id = running_job(log)
    sweep(0)
    beat(log, "w2")
    sweep(1)
    beat(log, "w2")
    sweep(LEASE_SECONDS)
    assert _states(reader) == {"w1": WorkerState.LOST, "w2": WorkerState.ALIVE}
    assert reader.job(job_id).status is Status.QUEUED
    beat(log, "w1")  # it was only cut off
    assert _states(reader)["w1"] is WorkerState.ALIVE


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_by_an_hour_changes_nothing(
    log: Log, reader: Reader, clock: SettableClock, sweep: Sweep, hours: int
) -> None:
    beat(log, "w1")
    kept, lost = running_job(log), running_job(log)
    sweep(0)
    clock.advance(hours * HOUR)
    for now in (1, LEASE_SECONDS - 1):
        sweep(now)
        beat(log, "w1")
        log.write(lambda transaction: leases.renew(transaction, kept, 1))
        assert (reader.job(kept).status, reader.job(lost).status) == (Status.RUNNING, Status.RUNNING)
    sweep(LEASE_SECONDS)
    assert (reader.job(kept).status, reader.job(lost).status) == (Status.RUNNING, Status.QUEUED)
    assert _states(reader) == {"w1": WorkerState.ALIVE}


def test_a_worker_that_says_goodbye_is_shown_for_a_day(log: Log, reader: Reader, sweep: Sweep) -> None:
    beat(log, "w1", state=WorkerState.STOPPED)
    beat(log, "w2")
    for now in (0.0, LEASE_SECONDS, LEASE_SECONDS + REMEMBERED_SECONDS - 1):
        sweep(now)
    assert _states(reader) == {"w2": WorkerState.LOST}
    sweep(LEASE_SECONDS + REMEMBERED_SECONDS)
    assert _states(reader) == {}


def test_a_worker_that_comes_back_after_days_is_no_longer_forgotten(log: Log, reader: Reader, sweep: Sweep) -> None:
    beat(log, "w1", state=WorkerState.STOPPED)
    sweep(0)
    beat(log, "w1")
    sweep(REMEMBERED_SECONDS)
    assert _states(reader) == {"w1": WorkerState.ALIVE}


def test_another_process_of_the_same_name_has_a_life_of_its_own(log: Log, reader: Reader, clock: SettableClock) -> None:
    beat(log, "box-7", state=WorkerState.STARTING, version="0.1.0", capabilities={})
    for seconds in (5, 5):
        clock.advance(seconds)
        beat(log, "box-7")
    (worker,) = reader.workers()
    assert (worker.started_at, worker.last_seen, worker.capabilities) == (NOON, later(NOON, 10), CPU)
    clock.advance(5)
    beat(log, "box-7", state=WorkerState.STARTING, version="0.2.0")
    (worker,) = reader.workers()
    assert (worker.started_at, worker.version) == (later(NOON, 15), "0.2.0")


def test_a_job_that_requires_a_gpu_fails_once_it_has_waited_for_one_in_vain(
    log: Log, reader: Reader, sweep: Sweep
) -> None:
    beat(log, "box-1")
    beat(log, "far-2", kind="host", capabilities=GPU)
    job_id = submit(log, require_gpu=True, target=Target.LOCAL)
    other = submit(log, prefer_gpu=True)
    sweep(0)
    for now in (NO_GPU_SECONDS / 2, NO_GPU_SECONDS - 0.001):
        beat(log, "box-1")
        beat(log, "far-2", kind="host", capabilities=GPU)
        sweep(now)
    assert reader.job(job_id).status is Status.QUEUED
    sweep(NO_GPU_SECONDS)
    job = reader.job(job_id)
    assert (job.status, job.failure_kind) == (Status.FAILED, "no_gpu")
    assert job.failure_message == (
        "the job requires a GPU, and for 30 s no local worker with one was alive; "
        "alive are box-1 (local, cpu), far-2 (host, cuda:0)"
    )
    assert "ktrdr host-worker" in (job.failure_fix or "")
    assert reader.job(other).status is Status.QUEUED


def test_the_wait_for_a_gpu_begins_again_once_there_was_one(log: Log, reader: Reader, sweep: Sweep) -> None:
    job_id = submit(log, require_gpu=True)
    sweep(0)
    beat(log, "g", capabilities=GPU)
    sweep(NO_GPU_SECONDS - 1)
    beat(log, "g", capabilities=GPU, state=WorkerState.DRAINING)
    sweep(NO_GPU_SECONDS)
    late = submit(log, require_gpu=True)
    sweep(NO_GPU_SECONDS + 1)
    sweep(2 * NO_GPU_SECONDS)
    job = reader.job(job_id)
    assert (
        job.failure_message
        == "the job requires a GPU, and for 30 s no worker with one was alive; no worker at all is alive"
    )
    assert reader.job(late).status is Status.QUEUED
    sweep(2 * NO_GPU_SECONDS + 1)
    assert reader.job(late).status is Status.FAILED


def test_a_gpu_that_comes_between_the_look_and_the_act_is_taken(log: Log, reader: Reader) -> None:
    job_id = submit(log, require_gpu=True)
    beat(log, "g", capabilities=GPU)
    assert log.write(lambda transaction: leases.give_up_without_gpu(transaction, 1)) is None
    cancel(log, job_id)
    beat(log, "g", state=WorkerState.STOPPED)
    assert log.write(lambda transaction: leases.give_up_without_gpu(transaction, 1)) is None
    assert reader.last_position() == 3


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look does not wait long for its turn to write."""
    monkeypatch.setattr(sweeping, "TURN_SECONDS", 0.02)


@pytest.mark.usefixtures("impatient")
def test_a_busy_database_makes_nobody_dead_and_the_next_look_goes_on(
    store: Store, log: Log, reader: Reader, sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    beat(log, "w1")
    kept, lost = running_job(log), running_job(log)
    sweep(0)
    holder = raw(store)
    holder.execute("BEGIN IMMEDIATE")
    sweep(LEASE_SECONDS)
    assert "another process has not let go of the database" in caplog.text
    holder.execute("ROLLBACK")
    holder.close()
    sweep(LEASE_SECONDS + 1)  # before anyone can have renewed: who could not write is not silent
    log.write(lambda transaction: leases.renew(transaction, kept, 1))
    assert reader.job(lost).status is Status.RUNNING
    sweep(2 * LEASE_SECONDS)
    sweep(2 * LEASE_SECONDS + 1)
    assert (reader.job(kept).status, reader.job(lost).status) == (Status.RUNNING, Status.QUEUED)


def test_what_breaks_for_one_job_hinders_no_other(
    store: Store, log: Log, reader: Reader, sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    broken, lost = running_job(log), running_job(log)
    beat(log, "w1")
    connection = raw(store)
    good = connection.execute("SELECT state FROM jobs WHERE job_id = ?", (broken,)).fetchone()[0]
    connection.execute("UPDATE jobs SET state = 'no JSON' WHERE job_id = ?", (broken,))
    sweep(0)
    sweep(LEASE_SECONDS)
    assert f"taking job {broken} from its worker failed" in caplog.text
    assert reader.job(lost).status is Status.QUEUED
    assert _states(reader) == {"w1": WorkerState.LOST}
    connection.execute("UPDATE jobs SET state = ? WHERE job_id = ?", (good, broken))
    connection.close()
    sweep(LEASE_SECONDS + 1)
    assert reader.job(broken).status is Status.QUEUED


@pytest.mark.parametrize("duty", ["renewals", "beats", "present_workers", "departed_beats"])
def test_a_look_that_fails_does_not_end_the_others(
    log: Log, reader: Reader, store: Store, duty: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Unlucky:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            if name == duty:
                raise pysqlite3.OperationalError("disk I/O error")
            method: Callable[..., Any] = getattr(reader, name)
            return method

    beat(log, "w1")
    job_id = running_job(log)
    needs_gpu = submit(log, require_gpu=True)
    sweep = Sweep(log, Unlucky(), store.lease_seconds)  # type: ignore[arg-type]
    sweep(0)
    sweep(NO_GPU_SECONDS)
    assert "it is tried again at the next look" in caplog.text
    assert (reader.job(job_id).status is Status.QUEUED) == (duty != "renewals")
    assert (_states(reader)["w1"] is WorkerState.LOST) == (duty != "beats")
    assert (reader.job(needs_gpu).status is Status.FAILED) == (duty != "present_workers")


def test_two_scheduler_processes_do_no_harm_to_each_other(store: Store, log: Log, reader: Reader) -> None:
    for number in range(20):
        beat(log, f"w{number}")
    lost = [running_job(log) for _ in range(40)]
    change(log, lost[0], lambda state: decide.report(state, 1, [BATCH]))
    environment = os.environ | {"KTRDR_HOME": str(store.home), "KTRDR_LEASE_SECONDS": "1"}
    schedulers = [
        subprocess.Popen(
            [sys.executable, "-m", "ktrdr", "scheduler"], env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        wait_until(lambda: reader.status_counts() == {"queued": 40})
        wait_until(lambda: set(_states(reader).values()) == {WorkerState.LOST})
    finally:
        for scheduler in schedulers:
            scheduler.terminate()
        told = [scheduler.communicate(timeout=PATIENCE_SECONDS)[1] for scheduler in schedulers]
    assert [scheduler.returncode for scheduler in schedulers] == [0, 0]
    assert "Traceback" not in "".join(told)
    for job_id in lost:
        types = [event.type for event in reader.job_events(job_id, limit=9)]
        assert types[-2:] == ["LeaseExpired", "JobRequeued"]
        assert types.count("LeaseExpired") == 1
    assert sum(text.count("lost its worker") for text in told) == 40


def test_the_queue_of_a_lost_worker_is_open_to_others(log: Log, sweep: Sweep) -> None:
    job_id = running_job(log)
    sweep(0)
    sweep(LEASE_SECONDS)
    state = claim(log, "w2")
    assert state is not None
    assert (state.job_id, state.lease_epoch) == (job_id, 2)
