"""How soon a lost worker's job is in other hands, how many short jobs pass, and 1,000 cancellations at once.

`python tests/benchmarks/bench_recovery.py`
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import figure
from running_service import RunningService, wait_until
from strategies import endless, short

from ktrdr.client import Client
from ktrdr.jobs.codec import TERMINAL_TYPES

DEATHS, SHORT_JOBS, CANCELS, CLIENTS = 4, 120, 1000, 16
PARTS = {"local": "worker", "host": "host-worker"}
_numbers = itertools.count(1)


def start_workers(service: RunningService, target: str, count: int) -> None:
    """Starts so many more workers of a kind, and waits until each has run a job."""
    for _ in range(count):
        service.start_as(f"{PARTS[target]}-{next(_numbers)}", PARTS[target])
    waiting = {process.pid for name, process in service.processes.items() if name.startswith(f"{PARTS[target]}-")}
    while waiting:
        worker = service.wait_for(service.client.submit(short(1), target=target)["id"], "completed")
        waiting.discard(pid_of(service, worker["id"]))


def stop_workers(service: RunningService) -> None:
    for name in [name for name in service.processes if name.startswith(tuple(f"{part}-" for part in PARTS.values()))]:
        service.stop(name)


def events_of(service: RunningService, job_id: str, kind: str) -> list[Mapping[str, Any]]:
    return [event for event in service.client.events(job_id) if event["type"] == kind]


def pid_of(service: RunningService, job_id: str) -> int:
    """The process of the worker that claimed a job last; it is part of the worker's name."""
    worker = events_of(service, job_id, "JobClaimed")[-1]["data"]["worker"]
    return next(process.pid for process in service.processes.values() if str(process.pid) in worker.split("-"))


def measure_deaths(service: RunningService) -> None:
    """One worker of each kind dies with its job, and another is idle."""
    for target in PARTS:
        start_workers(service, target, 2)
    requeued: dict[str, list[float]] = {target: [] for target in PARTS}
    claimed: dict[str, list[float]] = {target: [] for target in PARTS}

    def lose_worker(target: str) -> None:
        with Client(service.url) as client:
            job_id = client.submit(endless(), target=target)["id"]
            wait_until(lambda: client.job(job_id)["progress"]["epoch"] >= 2)
            pid = pid_of(service, job_id)
            name = next(name for name, process in service.processes.items() if process.pid == pid)
            service.kill(name)
            died = time.monotonic()
            wait_until(lambda: client.job(job_id)["status"] == "queued" or client.job(job_id)["attempt"] == 2)
            requeued[target].append(time.monotonic() - died)
            wait_until(lambda: client.job(job_id)["attempt"] == 2)
            claimed[target].append(time.monotonic() - died)
            client.cancel(job_id)
            wait_until(lambda: client.job(job_id)["status"] == "cancelled")

    for _ in range(DEATHS):
        with ThreadPoolExecutor(len(PARTS)) as both:
            list(both.map(lose_worker, PARTS))
        for target in PARTS:
            start_workers(service, target, 1)
    for target in PARTS:
        for what, seconds in (("requeued", requeued[target]), ("claimed again", claimed[target])):
            figure(f"{target}: kill -9 of a worker to its job {what}, longest", max(seconds), "s",
                   samples=DEATHS, shortest=round(min(seconds), 2), aim="<= 20")  # fmt: skip
    stop_workers(service)


def measure_rate(service: RunningService, target: str, workers: int) -> None:
    """A queue of jobs of one epoch, from the first submission to the end of the last."""
    start_workers(service, target, workers)
    with ThreadPoolExecutor(CLIENTS) as clients:
        began = time.monotonic()
        jobs = list(
            clients.map(lambda seed: submit(service.url, seed, target), range(SHORT_JOBS))  # as they come
        )
        states = [service.wait_for(job_id, seconds=300)["status"] for job_id in jobs]
        seconds = time.monotonic() - began
    assert states == ["completed"] * SHORT_JOBS
    each = "one worker" if workers == 1 else f"{workers} workers"
    figure(f"{target}: jobs of one epoch, {each}", SHORT_JOBS / seconds * 60, "jobs/min", jobs=SHORT_JOBS)
    stop_workers(service)


def submit(url: str, seed: int, target: str) -> str:
    with Client(url) as client:
        return str(client.submit(short(1), symbols=["AAPL"], seed=seed, target=target)["id"])


def measure_cancels(service: RunningService) -> None:
    """Every job is cancelled at once: four run, the others wait."""
    start_workers(service, "local", 2)
    start_workers(service, "host", 2)
    jobs = [service.client.submit(endless(), symbols=["AAPL"])["id"] for _ in range(CANCELS)]
    wait_until(lambda: len(list(service.client.jobs(status=["running"]))) == 4)
    with ThreadPoolExecutor(CLIENTS) as clients:
        began = time.monotonic()
        list(clients.map(lambda some: cancel_all(service.url, some), [jobs[one::CLIENTS] for one in range(CLIENTS)]))
        acknowledged = time.monotonic() - began
        wait_until(lambda: not list(service.client.jobs(status=["queued", "running", "cancelling"], limit=1)))
        ended = time.monotonic() - began
    figure(f"{CANCELS} cancellations at once: all acknowledged", acknowledged, "s", clients=CLIENTS)
    receipts = sum(has_receipt(list(service.client.events(job_id))) for job_id in jobs)
    figure(f"{CANCELS} cancellations at once: all ended", ended, "s", receipts=receipts)


def cancel_all(url: str, jobs: Sequence[str]) -> None:
    with Client(url) as client:
        for job_id in jobs:
            client.cancel(job_id)


def has_receipt(events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a job ended once, as cancelled, and the end names the one request."""
    requests = [event["version"] for event in events if event["type"] == "CancellationRequested"]
    ends = [event for event in events if event["type"] in TERMINAL_TYPES]
    return [end["data"].get("request_version") for end in ends] == requests and len(requests) == 1


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        service = RunningService(Path(folder) / "home")
        try:
            service.start("serve", "scheduler")
            service.import_samples()
            measure_deaths(service)
            for target in PARTS:
                for workers in (1, 2):
                    measure_rate(service, target, workers)
            measure_cancels(service)
        finally:
            service.close()


if __name__ == "__main__":
    main()
