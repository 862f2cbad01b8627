"""The log beside bare SQLite: appends, claims, looks for a cancellation, and how soon a commit is noticed elsewhere.

`python tests/benchmarks/bench_store.py`: rounds are interleaved; medians and ratios are printed.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pysqlite3
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "jobs"))
sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

from benchmarks.figures import figure, spread
from job_builders import BATCH, SUBMITTED
from store_steps import change, claim, new_job_id, submit

from ktrdr.jobs import decide
from ktrdr.jobs.state import JobState
from ktrdr.store import Log, Store, open_store
from ktrdr.store.log import Operation
from ktrdr.worker.local_child import look_into_log

ROUNDS, REPEATS = 5, 300


def seconds_each(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(REPEATS):
        work()
    return (time.perf_counter() - began) / REPEATS


def bare_append(folder: Path) -> Callable[[], None]:
    """One row and one commit, with the driver alone."""
    connection: Any = pysqlite3.connect(str(folder / "bare.db"), isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, data TEXT NOT NULL)")

    def append() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO events (data) VALUES (?)", ('{"batch":7,"batches":100,"epoch":1,"epochs":9}',))
        connection.execute("COMMIT")

    return append


def measure_appends(log: Log, folder: Path) -> None:
    submit(log)
    lease = claim(log, worker="w")
    bare = bare_append(folder)

    def ours() -> None:
        change(log, lease.job_id, lambda state: decide.report(state, lease.lease_epoch, [BATCH]))

    rounds = [(seconds_each(ours), seconds_each(bare)) for _ in range(ROUNDS)]
    figure("one event with its projection, durable", 1 / median(one for one, _ in rounds), "1/s")
    figure("the same as one bare row", 1 / median(other for _, other in rounds), "1/s")
    figure("append, ratio to bare SQLite", median(other / one for one, other in rounds), "x")


def measure_claims(log: Log) -> None:
    for _ in range(ROUNDS * REPEATS):
        submit(log)
    figure("claims", 1 / median(seconds_each(lambda: claim(log, worker="w")) for _ in range(ROUNDS)), "1/s")


def measure_long_queues(folder: Path) -> None:
    """A claim with many jobs in the queue, all of one share or of 50 in turn, beside looking for the next one alone."""
    for shares in (1, 50):
        store = open_store(folder / f"queue of {shares}")
        log, reader, queued = store.open_log(), store.open_reader(), 0
        for length in (10_000, 100_000):
            while queued < length:
                log.write_all([_submission(f"desk={(queued + one) % shares}") for one in range(1000)])
                queued += 1000
            of = f"of {length:,} jobs in {shares} share{'s' * (shares > 1)}"
            look = seconds_each(lambda: reader.has_job_for("local", has_gpu=False))  # noqa: B023
            figure(f"the next {of} is found", look * 1e6, "µs")

            def claim_and_give_back() -> None:  # so that few run, as in a service
                state = claim(log, worker="w")  # noqa: B023
                change(log, state.job_id, lambda state: decide.release(state, state.lease_epoch, message=""))  # noqa: B023

            both = seconds_each(claim_and_give_back)
            figure(f"a claim {of} and a release, durable", both * 1e6, "µs")
        reader.close()
        log.close()


def _submission(share: str) -> Operation[JobState]:
    job_id, submitted = new_job_id(), replace(SUBMITTED, share=share)
    return lambda transaction: transaction.change(job_id, lambda state: decide.submit(state, submitted), actor="bench")


def measure_looks(store: Store, log: Log) -> None:
    look = look_into_log(store.open_reader(), store.open_glance(), submit(log))
    figure("a look for a cancellation, by itself", median(seconds_each(look) for _ in range(ROUNDS)) * 1e6, "µs")
    # Between two batches the caches hold the training's data.
    table, rows = torch.zeros(4_000_000), torch.zeros(300, 300)
    looks = []
    for _ in range(REPEATS):
        table.add_(1.0)
        rows.mm(rows)
        began = time.perf_counter()
        look()
        looks.append(time.perf_counter() - began)
    figure("a look for a cancellation, between batches", median(looks) * 1e6, "µs", aim="<= 5")


def measure_doorbell(store: Store, log: Log) -> None:
    watch, noticed, delays = store.open_watch(), threading.Event(), []
    committed = 0.0

    def wait() -> None:
        for _ in range(REPEATS):
            watch.clear()
            noticed.set()
            watch.wait(5)
            delays.append(time.perf_counter() - committed)

    waiting = threading.Thread(target=wait)
    waiting.start()
    for _ in range(REPEATS):
        noticed.wait()
        noticed.clear()
        time.sleep(0.002)
        log.write(lambda transaction: transaction.now)
        committed = time.perf_counter()
        while not noticed.is_set() and waiting.is_alive():
            time.sleep(0.0001)
    waiting.join()
    spread("from a commit to the notice of another thread", [max(0.0, delay) for delay in delays])


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = open_store(Path(folder) / "home")
        log = store.open_log()
        measure_appends(log, Path(folder))
        measure_claims(log)
        measure_long_queues(Path(folder))
        measure_looks(store, log)
        measure_doorbell(store, log)


if __name__ == "__main__":
    main()
