"""What tests do to a store, one line each, and processes that do it elsewhere."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pysqlite3
from job_builders import NOON, SUBMITTED

from ktrdr.clock import from_instant
from ktrdr.jobs import decide
from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import JobEvent, JobId
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.refusals import LeaseLostError
from ktrdr.jobs.silence import Silence
from ktrdr.jobs.state import JobState
from ktrdr.jobs.workers import Beat, WorkerState
from ktrdr.store import Log, Store, leases, workers
from ktrdr.store.rebuild import Difference, rebuild
from ktrdr.store.service_settings import CAPS, FAIR_BY, put_setting

_TESTS = Path(__file__).parents[1]
_job_numbers = itertools.count(1_790_000_000_000)


class SettableClock:
    def __init__(self) -> None:
        self.now = from_instant(NOON)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Observer:
    """Someone who notices silent leases, as the scheduler does, by a steady clock that the test moves."""

    def __init__(self, store: Store, log: Log) -> None:
        self._log = log
        self._reader = store.open_reader()
        self._silence: Silence[tuple[JobId, int]] = Silence(store.lease_seconds)
        self._now = 0.0

    def look(self, *, after: float = 0.0) -> list[JobState]:
        """Takes the leases that have been silent for too long, so many seconds later; the jobs as they stand then."""
        self._now += after
        renewals, taken = self._reader.renewals(), []
        for job_id, lease_epoch in self._silence.observe(renewals, self._now):
            heard = renewals[job_id, lease_epoch]
            with suppress(LeaseLostError):
                taken.append(
                    self._log.write(partial(leases.expire, job_id=job_id, lease_epoch=lease_epoch, renewals=heard))
                )
        return taken

    def look_until_expiry(self) -> list[JobState]:
        """Takes every lease that there is now."""
        self.look()
        return self.look(after=self._silence.patience)

    def close(self) -> None:
        self._reader.close()


def new_job_id() -> JobId:
    return make_job_id(next(_job_numbers), os.urandom(10))


def submit(log: Log, **changes: Any) -> JobId:
    """Submits a job, valid but for the changes."""
    job_id, submitted = new_job_id(), replace(SUBMITTED, **changes)
    change(log, job_id, lambda state: decide.submit(state, submitted))
    return job_id


def change(log: Log, job_id: JobId, decision: Callable[[JobState], Sequence[JobEvent]]) -> JobState:
    return log.write(lambda transaction: transaction.change(job_id, decision, actor="test"))


#: DeviceCapabilities as far as the queue looks at them.
CPU, GPU = {"device_type": "cpu", "device": "cpu"}, {"device_type": "cuda", "device": "cuda:0"}


def claim(log: Log, worker: str = "w1", kind: str = "local", capabilities: Mapping[str, Any] = CPU) -> JobState | None:
    claimant = Claimant(worker=worker, kind=kind, capabilities=capabilities, numeric_profile={})
    return log.write(lambda transaction: leases.claim_next(transaction, claimant))


def beat(log: Log, name: str, kind: str = "local", **changes: Any) -> None:
    """Lets a worker say that it is alive, on a CPU and with one slot, but for the changes."""
    said = Beat(
        name=name, kind=kind, state=WorkerState.ALIVE, host="box", pid=7, version="0.1.0", slots=1, capabilities=CPU
    )
    log.write(partial(workers.beat, said=replace(said, **changes)))


def with_cap(log: Log, caps: Mapping[str, int], *, fair_by: str | None = None) -> None:
    """Sets which label makes the shares, and how many jobs of each may run."""
    for name, value in ((CAPS, dict(caps)), (FAIR_BY, fair_by)):
        log.write(partial(put_setting, name=name, value=value, by="test"))


def cancel(log: Log, job_id: JobId) -> JobState:
    return change(log, job_id, lambda state: decide.request_cancellation(state, by="client:anna", reason=""))


def running_job(log: Log, **changes: Any) -> JobId:
    """A job that worker w1 holds under lease 1."""
    job_id = submit(log, **changes)
    state = claim(log)
    assert state is not None
    assert state.job_id == job_id, "another job was queued before"
    return job_id


def differences(store: Store, *, repair: bool = True) -> tuple[Difference, ...]:
    return rebuild(store.engine, store.doorbell, repair=repair).differences


def raw(store: Store) -> Any:
    """A connection beside all of our code, as anyone with the file could open it."""
    return pysqlite3.connect(store.engine.url.database, isolation_level=None, timeout=10)


def start_process(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Runs Python text in another process, with the builders of these tests at hand."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{_TESTS / 'jobs'}:{_TESTS / 'store'}"},
    )


def let_go(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Waits until each process has said that it is ready, lets them all go on at once, and returns what each prints."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return outputs
