"""Looking at the past of a log of a million events: a job, lists and what changed, as of random positions.

`python tests/benchmarks/bench_time_travel.py [EVENTS]`: medians and 99th percentiles of the functions that API and
dashboard call, for pages of 50. The long queue is 10,000 jobs that waited at one moment and were cancelled later.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "jobs"))
sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

from benchmarks.figures import figure, spread
from benchmarks.million_events import write_million
from job_builders import SUBMITTED
from store_steps import new_job_id

from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId
from ktrdr.jobs.state import JobState, Status
from ktrdr.store import Reader, Store
from ktrdr.store.history import changed_jobs, job_as_of, jobs_as_of
from ktrdr.store.reader import JobFilter

REPEATS, PAGE, QUEUED = 100, 51, 10_000


def add_long_queue(store: Store) -> int:
    """Lets many jobs wait at once and cancels them then; the position at which all of them waited."""
    log, job_ids = store.open_log(), [new_job_id() for _ in range(QUEUED)]
    submitted = replace(SUBMITTED, strategy=_strategy_of_newest(store))

    def write(decision: Callable[[JobState], Any], ids: Iterable[JobId]) -> None:
        def operation(transaction: Any) -> None:
            for job_id in ids:
                transaction.change(job_id, decision, actor="bench")

        log.write(operation)

    write(lambda state: decide.submit(state, submitted), job_ids)
    reader = store.open_reader()
    waited = reader.last_position()
    reader.close()
    write(lambda state: decide.request_cancellation(state, by="bench", reason=""), job_ids)
    log.close()
    return waited


def _strategy_of_newest(store: Store) -> Any:
    reader = store.open_reader()
    ((_, newest),) = reader.jobs(JobFilter(), limit=1)
    strategy = reader.submission(newest.job_id).strategy
    reader.close()
    return strategy


def measure(reader: Reader, moment: str, positions: range) -> None:
    """Every question, asked of random positions of a range."""
    chance = Random(7)
    ids = [state.job_id for _, state in jobs_as_of(reader, positions[-1], JobFilter(), limit=500)]
    questions: dict[str, Callable[[int], object]] = {
        "a job": lambda at: job_as_of(reader, chance.choice(ids), at),
        "all jobs": lambda at: jobs_as_of(reader, at, JobFilter(), limit=PAGE),
        "queued, running or cancelling": lambda at: jobs_as_of(
            reader, at, JobFilter(statuses=[one for one in Status if not one.is_final]), limit=PAGE
        ),
        **{str(status): _of_status(reader, status) for status in Status},
        "what changed in 100 events": lambda at: changed_jobs(reader, max(0, at - 100), at, limit=PAGE),
        "what changed in 100,000 events": lambda at: changed_jobs(reader, max(0, at - 100_000), at, limit=PAGE),
    }
    for name, ask in questions.items():
        seconds = []
        for _ in range(REPEATS):
            position = chance.choice(positions)
            began = time.perf_counter()
            ask(position)
            seconds.append(time.perf_counter() - began)
        spread(f"{name}, {moment}", seconds, aim="<= 100")


def _of_status(reader: Reader, status: Status) -> Callable[[int], object]:
    return lambda at: jobs_as_of(reader, at, JobFilter(statuses=[status]), limit=PAGE)


def main(events: str = "1000000") -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        home = Path(folder) / "home"
        home.mkdir()
        store = write_million(home, int(events))
        waited = add_long_queue(store)
        reader = store.open_reader()
        figure("events", reader.last_position(), "")
        measure(reader, "anywhere in the log", range(1, int(events)))
        measure(reader, "in its first twentieth", range(1, int(events) // 20))
        measure(reader, f"while {QUEUED:,} jobs waited", range(waited, waited + 1))
        reader.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
