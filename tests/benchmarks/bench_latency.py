"""How soon a job starts, is heard of and stops, seen from outside: the client's clock and the log as others read it.

`python tests/benchmarks/bench_latency.py`
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import figure, spread
from running_service import RunningService, wait_until
from strategies import short, trend_follower

from ktrdr.jobs.codec import TERMINAL_TYPES
from ktrdr.jobs.events import JobId
from ktrdr.store import open_store
from ktrdr.store.reader import Reader

STARTS, CANCELS, EPOCHS = 200, 60, 200
#: Longest times, in ms: from the 202 to the claim in the log, and to the first stage.
START_AIMS = {"local": (15, 150), "host": (30, 200)}
#: Beside a job process: writes down when that says that an epoch has ended, before it says so.
PROBE = """
import os, time
from multiprocessing.connection import Connection
say = Connection.send
def probed(self, said):
    if type(said).__name__ == "EpochFinished":
        with open(os.environ["PROBE"], "a") as file:
            file.write(f"{said.epoch} {time.monotonic()}\\n")
    say(self, said)
Connection.send = probed
"""


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
    claim_aim, stage_aim = START_AIMS[target]
    spread(f"{target}: 202 to claim committed", claims, aim=f"p99 <= {claim_aim}")
    spread(f"{target}: 202 to first stage begun", stages, aim=f"p99 <= {stage_aim}")


def measure_news(service: RunningService, target: str, probe: Path) -> None:
    """From when the job process says that an epoch has ended to when a client that follows the job has read it."""
    probe.write_text("")
    strategy = trend_follower(epochs=EPOCHS, early_stopping=None)
    strategy["model"]["architecture"]["hidden_layers"] = [256, 256]
    job_id = service.client.submit(strategy, symbols=["AAPL"], target=target)["id"]
    seen = {
        event["data"]["epoch"]: time.monotonic()
        for event in service.client.events(job_id, follow=True)
        if event["type"] == "EpochFinished"
    }
    said = {int(epoch): float(at) for epoch, at in (line.split() for line in probe.read_text().splitlines())}
    spread(
        f"{target}: epoch ended to seen by a client", [seen[epoch] - said[epoch] for epoch in said], aim="p99 <= 100"
    )
    pace = (max(said.values()) - min(said.values())) / (EPOCHS - 1)
    figure(f"{target}: an epoch of that job", pace * 1000, "ms")


def measure_cancels(service: RunningService, reader: Reader, target: str) -> None:
    slow: dict[str, Any] = trend_follower(epochs=100_000, early_stopping=None, batch_size=256)
    slow["model"]["architecture"]["hidden_layers"] = [1100, 1100]
    times, after = [], []
    for _ in range(CANCELS):
        job_id = service.client.submit(slow, symbols=["AAPL"], target=target)["id"]
        wait_until(lambda job_id=job_id: service.client.job(job_id)["progress"]["batch"] >= 1)
        began = time.perf_counter()
        service.client.cancel(job_id)
        times.append(wait_for_event(reader, job_id, *TERMINAL_TYPES) - began)
        after.append(service.client.job(job_id)["cancellation"]["batches_after_request"])
    spread(f"{target}: cancel request to terminal event", times, aim="p99 <= 250")
    figure(f"{target}: most batches begun after a request was recorded", max(after), "batches")
    job_id = service.client.submit(slow, symbols=["AAPL"], target=target)["id"]
    wait_for_event(reader, job_id, "EpochFinished")
    epoch = next(event["data"] for event in service.client.events(job_id) if event["type"] == "EpochFinished")
    batches = service.client.job(job_id)["progress"]["batches"]
    service.client.cancel(job_id)
    wait_for_event(reader, job_id, *TERMINAL_TYPES)
    figure(f"{target}: a batch of the cancelled jobs", epoch["seconds"] / batches * 1000, "ms")


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
        probe = Path(folder) / "probe"
        (Path(folder) / "sitecustomize.py").write_text(PROBE)
        service = RunningService(Path(folder) / "home", PYTHONPATH=folder, PROBE=str(probe))
        try:
            service.start("serve", "worker", "host-worker")
            service.import_samples()
            reader = open_store(service.home).open_reader()
            for target in ("local", "host"):
                service.wait_for(service.client.submit(short(1), target=target)["id"])  # warm
                measure_starts(service, reader, target)
                measure_news(service, target, probe)
                measure_cancels(service, reader, target)
            measure_stop(service)
        finally:
            service.close()


if __name__ == "__main__":
    main()
