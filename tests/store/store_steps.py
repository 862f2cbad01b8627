"""What tests do to a store, one line each, and processes that do it elsewhere."""

from __future__ import annotations

import itertools
import os
import random
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
from job_builders import BATCH, BROKEN, COMPLETED, CRASHED, EPOCH, NOON, SUBMITTED

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
from ktrdr.store.projections import SNAPSHOT_VERSIONS
from ktrdr.store.reader import JobFilter
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


def live_through(log: Log, clock: SettableClock, observer: Observer, steps: int) -> None:
    """A random history of everything that the store can do."""
    chance = random.Random(steps)
    job_ids: list[JobId] = []
    for _ in range(steps):
        clock.advance(chance.choice([0, 1, 5]))
        if not job_ids or chance.random() < 0.3:
            name, symbol = chance.choice(["trend", "reversal"]), chance.choice(["AAPL", "MSFT"])
            job_ids.append(submit(log, priority=chance.randint(0, 3), max_attempts=2, name=name, symbols=(symbol,)))
            continue
        job_id = chance.choice(job_ids)
        state = log.write(lambda transaction, job_id=job_id: transaction.state(job_id))
        held = state.worker is not None
        match chance.randint(0, 4):
            case 0:
                observer.look(after=chance.choice([0, 5]))
            case 1 if not state.status.is_final:
                cancel(log, job_id)
            case _ if held:
                change(log, job_id, _any_decision(state.lease_epoch, chance))
            case _:
                claim(log)


def _any_decision(epoch: int, chance: random.Random) -> Any:
    """What a worker that holds the lease may do next."""
    return chance.choice(
        [
            lambda state: decide.report(state, epoch, [BATCH, EPOCH]),
            lambda state: decide.report(state, epoch, [BATCH] * SNAPSHOT_VERSIONS),
            lambda state: decide.complete(state, epoch, COMPLETED),
            lambda state: decide.fail(state, epoch, chance.choice([BROKEN, CRASHED])),
            lambda state: decide.release(state, epoch, message=""),
        ]
    )


def differences(store: Store, *, repair: bool = True) -> tuple[Difference, ...]:
    return rebuild(store.engine, store.doorbell, repair=repair).differences


def matches(wanted: JobFilter, state: JobState) -> bool:
    """Whether a list holds a job, by a plain look at its state."""
    labels = state.labels or {}
    return all(
        [
            not wanted.statuses or state.status in wanted.statuses,
            wanted.name is None or state.name == wanted.name,
            wanted.symbol is None or wanted.symbol in state.symbols,
            all(labels.get(key) == value for key, value in wanted.labels),
            wanted.submitted_from is None or (state.submitted_at or "") >= wanted.submitted_from,
            wanted.submitted_until is None or (state.submitted_at or "") <= wanted.submitted_until,
        ]
    )


def raw(store: Store) -> Any:
    """A connection beside all of our code, as anyone with the file could open it."""
    return pysqlite3.connect(store.engine.url.database, isolation_level=None, timeout=60)


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
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return outputs
