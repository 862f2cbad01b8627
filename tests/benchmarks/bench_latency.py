"""How soon a job starts and how soon it stops, seen from outside: the client's clock and the log as others read it.

`python tests/benchmarks/bench_latency.py`
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import figure, quantile, spread
from running_service import RunningService, wait_until
from strategies import short, trend_follower

from ktrdr.jobs.codec import TERMINAL_TYPES
from ktrdr.jobs.events import JobId
from ktrdr.store import open_store
from ktrdr.store.reader import Reader

STARTS, CANCELS = 200, 60


def wait_for_event(reader: Reader, job_id: str, *types: str) -> float:
    """When an event of one of the types can first be read, by this process's clock."""
    while True:
        if any(event.type in types for event in reader.job_events(JobId(job_id), limit=1000)):
            return time.perf_counter()
        time.sleep(0.0002)


def measure_starts(service: RunningService, reader: Reader, target: str) -> None:
    claims, stages = [], []
    for number in range(STARTS):
        job_id = service.client.submit(short(1), symbols=["AAPL"], seed=number, target=target)["id"]
        accepted = time.perf_counter()
        claims.append(wait_for_event(reader, job_id, "JobClaimed") - accepted)
        stages.append(wait_for_event(reader, job_id, "StageStarted") - accepted)
        wait_for_event(reader, job_id, *TERMINAL_TYPES)
        time.sleep(0.02)  # an idle system
    spread(f"{target}: 202 to claim committed", claims, aim="<= 5 and <= 15")
    spread(f"{target}: 202 to first stage begun", stages, aim="<= 50 and <= 150")


def measure_cancels(service: RunningService, reader: Reader, target: str) -> None:
    slow: dict[str, Any] = trend_follower(epochs=100_000, early_stopping=None, batch_size=256)
    slow["model"]["architecture"]["hidden_layers"] = [1100, 1100]
    times, batches, after = [], [], []
    for _ in range(CANCELS):
        job_id = service.client.submit(slow, symbols=["AAPL"], target=target)["id"]
        wait_until(lambda job_id=job_id: service.client.job(job_id)["progress"]["batch"] >= 1)
        began = time.perf_counter()
        service.client.cancel(job_id)
        times.append(wait_for_event(reader, job_id, *TERMINAL_TYPES) - began)
        job = service.client.job(job_id)
        after.append(job["cancellation"]["batches_after_request"])
        epochs = [event["data"] for event in service.client.events(job_id) if event["type"] == "EpochFinished"]
        batches += [epoch["seconds"] / job["progress"]["batches"] for epoch in epochs]
    spread(f"{target}: cancel request to terminal event", times, aim="p99 <= 250")
    figure(f"{target}: most batches begun after a request was recorded", max(after), "batches")
    if batches:
        figure(f"{target}: a batch of the cancelled jobs, median", quantile(batches, 0.5) * 1000, "ms")


def measure_stop(service: RunningService) -> None:
    import httpx2

    with httpx2.stream(
        "GET",
        f"{service.url}/api/v1/events",
        # From the newest event on: a client that does not read what is old already could not be told to go.
        params={"after": service.client.ready()["position"]},
        headers={"Accept": "text/event-stream"},
        timeout=None,
    ) as stream:
        lines = stream.iter_lines()
        next(lines)
        began = time.perf_counter()
        code = service.stop("serve")
        seconds = time.perf_counter() - began
        list(lines)  # ends cleanly, or raises
    figure("SIGTERM to exit of the API with an open stream", seconds * 1000, "ms", exit_code=code, aim="<= 2000")


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        service = RunningService(Path(folder) / "home")
        try:
            service.start("serve", "worker", "host-worker")
            service.import_samples()
            reader = open_store(service.home).open_reader()
            for target in ("local", "host"):
                service.wait_for(service.client.submit(short(1), target=target)["id"])  # warm
                measure_starts(service, reader, target)
                measure_cancels(service, reader, target)
            measure_stop(service)
        finally:
            service.close()


if __name__ == "__main__":
    main()
