"""What observing costs: a request through the middleware, and a scrape with 100,000 jobs in the queue.

`python tests/benchmarks/bench_observability.py [JOBS]`
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import MutableMapping
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import figure
from jobs.job_builders import SUBMITTED

from ktrdr.api.jobs import create_job
from ktrdr.api.observing.exposition import Exposition
from ktrdr.api.observing.traffic import Observed, Traffic
from ktrdr.store import open_store
from ktrdr.store.log import Transaction

JOBS, A_TRANSACTION, REQUESTS, ROUNDS = 100_000, 1000, 20_000, 5
Scope = MutableMapping[str, Any]


class _Routes:
    routes: tuple[()] = ()


async def _answer(scope: Scope, _receive: Any, send: Any) -> None:
    scope["endpoint"] = _answer
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})


def _scope() -> Scope:
    return {
        "type": "http", "method": "POST", "path": "/api/v1/jobs", "query_string": b"",
        "headers": [(b"name", b"value")] * 8,
        "state": {"request_id": "r1"}, "app": _Routes,
    }  # fmt: skip


async def _microseconds(app: Any) -> float:
    async def send(_message: Any) -> None:
        pass

    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(REQUESTS):
            await app(_scope(), None, send)
        found.append((time.perf_counter() - began) / REQUESTS * 1e6)
    return min(found)


async def middleware() -> None:
    observed = Observed(_answer, Traffic(), None, logs_every=False)
    figure("middleware, a request", await _microseconds(observed) - await _microseconds(_answer), "µs", aim=5)


async def scrape(folder: Path, jobs: int) -> None:
    store = open_store(folder)
    log = store.open_log()

    def fill(transaction: Transaction) -> None:
        for _ in range(A_TRANSACTION):
            create_job(transaction, SUBMITTED, "benchmark")

    for _ in range(jobs // A_TRANSACTION):
        log.write(fill)
    began = time.perf_counter()
    exposition = Exposition(store, Traffic())
    figure("start of the figures", (time.perf_counter() - began) * 1000, "ms", jobs=jobs)
    await exposition.text()
    took = []
    for _ in range(20):
        began = time.perf_counter()
        await exposition.text()
        took.append((time.perf_counter() - began) * 1000)
    figure("scrape, median", median(took), "ms", jobs=jobs, aim=20)
    log.write(fill)
    began = time.perf_counter()
    await exposition.text()
    figure("scrape after 1,000 events", (time.perf_counter() - began) * 1000, "ms", jobs=jobs)
    await exposition.close()
    log.close()


if __name__ == "__main__":
    asyncio.run(middleware())
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        asyncio.run(scrape(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else JOBS))
