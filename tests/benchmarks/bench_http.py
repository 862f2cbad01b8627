"""Streams and lists over HTTP: how soon many clients hear of an event, breaks of a stream, pages of many jobs.

`python tests/benchmarks/bench_http.py [streams|reconnects|lists]`; the store of 100,000 jobs is written before.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path
from random import Random

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import figure, spread
from jobs.job_builders import SUBMITTED
from running_service import RunningService

from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.state import no_job
from ktrdr.store import open_store
from ktrdr.store.log import Transaction

CLIENTS, NEWS, RECONNECTS, JOBS, PAGES = 100, 200, 1000, 100_000, 200
PAUSE_SECONDS = 0.05
BODY = {"strategy": "trend_follower", "target": "host"}


async def listen(port: int, after: int, news: int, heard: dict[int, list[float]]) -> None:
    """One client: notes when it has heard of each position."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nLast-Event-ID: %d\r\n\r\n"
        % after
    )
    while news:
        line = await reader.readline()
        if line.startswith(b"id: "):
            heard.setdefault(int(line[4:]), []).append(time.monotonic())
            news -= 1
    writer.close()


def measure_streams(service: RunningService) -> None:
    """From when a commit was acknowledged to one client to when each of the listening ones has heard of it."""
    first = service.client.ready()["position"]
    heard: dict[int, list[float]] = {}
    committed: dict[int, float] = {}

    async def everyone() -> None:
        await asyncio.gather(*(listen(service.port, first, NEWS, heard) for _ in range(CLIENTS)))

    listening = threading.Thread(target=lambda: asyncio.run(everyone()))
    listening.start()
    time.sleep(1)
    for number in range(NEWS):
        job = service.http.post("/jobs", json=BODY).json()
        committed[job["position"]] = time.monotonic()
        time.sleep(PAUSE_SECONDS * (1 + number % 3))
    listening.join()
    # Some hear of it before the one who asked has its answer: at once, then.
    delays = [max(0.0, at - committed[position]) for position, times in heard.items() for at in times]
    spread(f"{CLIENTS} streams: committed to heard", delays, aim="p99 <= 50")


def measure_reconnects(service: RunningService) -> None:
    first, chance = service.client.ready()["position"], Random(7)
    news = 2 * RECONNECTS
    writing = threading.Thread(target=lambda: [service.http.post("/jobs", json=BODY) for _ in range(news)])
    writing.start()
    heard: list[int] = []
    breaks = 0
    with httpx2.Client(base_url=f"{service.url}/api/v1", timeout=60) as http:
        while len(heard) < news:
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(heard[-1] if heard else first)}
            few = min(chance.randint(1, 3), news - len(heard))
            with http.stream("GET", "/events", headers=headers) as stream:
                ids = (int(line[4:]) for line in stream.iter_lines() if line.startswith("id: "))
                heard += islice(ids, few)
            breaks += 1
    writing.join()
    expected = set(range(first + 1, first + news + 1))
    figure(
        "breaks of a stream", breaks, "breaks", missed=len(expected - set(heard)), doubled=len(heard) - len(set(heard))
    )


def fill(home: Path) -> None:
    """Jobs of many desks, strategies and symbols, most of them cancelled."""
    store = open_store(home)
    log = store.open_log()
    for begin in range(0, JOBS, 1000):

        def some(transaction: Transaction, begin: int = begin) -> None:
            for number in range(begin, begin + 1000):
                add(transaction, number)

        log.write(some)
    log.close()


def add(transaction: Transaction, number: int) -> None:
    from dataclasses import replace

    job_id = make_job_id(1_700_000_000_000 + number, number.to_bytes(10, "big"))
    submitted = replace(
        SUBMITTED,
        name=f"strategy_{number % 50}",
        symbols=(f"S{number % 200}", f"T{number % 7}"),
        labels={"desk": ("rates", "fx", "equities")[number % 3], "batch": str(number // 1000)},
    )
    new = no_job(job_id)
    transaction.append(new, decide.submit(new, submitted), actor="client:bench")
    if number % 20:
        transaction.change(
            JobId(job_id), lambda state: decide.request_cancellation(state, by="bench", reason=""), actor="client:bench"
        )


FILTERS: dict[str, dict[str, str]] = {
    "no filter": {},
    "status": {"status": "queued"},
    "strategy": {"strategy": "strategy_7"},
    "symbol": {"symbol": "S42"},
    "label": {"label": "desk=fx"},
    "a rare label": {"label": "batch=3"},
    "label and status": {"label": "desk=fx", "status": "cancelled"},
    "strategy, symbol and label": {"strategy": "strategy_7", "symbol": "T3", "label": "desk=rates"},
    "days": {"submitted_from": "2020-01-01", "submitted_until": "2100-01-01"},
    "nothing fits": {"label": "desk=none"},
}


def measure_lists(service: RunningService) -> None:
    for name, query in FILTERS.items():
        times = []
        for _ in range(1 + PAGES):
            began = time.perf_counter()
            service.http.get("/jobs", params=query).raise_for_status()
            times.append(time.perf_counter() - began)
        spread(f"page of {JOBS:,} jobs, {name}", times[1:], aim="p99 <= 10")


def main() -> None:
    wanted = sys.argv[1:] or ["streams", "reconnects", "lists"]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        service = RunningService(Path(folder) / "home")
        try:
            if "lists" in wanted:
                began = time.perf_counter()
                fill(service.home)
                print(json.dumps({"filled_s": round(time.perf_counter() - began, 1)}), file=sys.stderr)
            service.start("serve")
            service.import_samples()
            for name, measure in (
                ("streams", measure_streams), ("reconnects", measure_reconnects), ("lists", measure_lists),
            ):  # fmt: skip
                if name in wanted:
                    measure(service)
        finally:
            service.close()


if __name__ == "__main__":
    main()
