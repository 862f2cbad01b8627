"""The service as real processes on a port of its own, for tests and benchmarks: started and ended part by part."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from ktrdr import sample
from ktrdr.api.heavy import ImportedSeries, import_prices
from ktrdr.cli.parts import free_port
from ktrdr.client import Client
from ktrdr.files import Prices
from ktrdr.store import open_store
from ktrdr.store.catalogue import put_dataset

#: Only what never happens takes so long: a machine ten times slower than ours, with other work, stays below it.
PATIENCE_SECONDS = 180.0


@cache
def _samples() -> list[tuple[bytes, ImportedSeries]]:
    with tempfile.TemporaryDirectory() as name:
        prices = Prices(Path(name))
        read = import_prices(
            sample.prices(),
            Path(name),
            filename="prices.csv.gz",
            symbol=None,
            timeframe=None,
            timezone="UTC",
            date_format=None,
            adjust=False,
        )
        return [(prices.path(series.digest).read_bytes(), series) for series in read.series]


def wait_until(condition: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
    """What the condition gives, once that is true. Raises AssertionError if it never is."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.02)
    return found


class RunningService:
    """The parts `serve`, `worker`, `scheduler` and `host-worker`, each started when a test asks for it."""

    def __init__(self, home: Path, *, prefix: Sequence[str] = (), **settings: str) -> None:
        self.home = home
        #: What every part's command begins with.
        self.prefix = prefix
        self.port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment: dict[str, str] = {
            **os.environ,
            "KTRDR_HOME": str(home),
            "KTRDR_PORT": str(self.port),
            "KTRDR_URL": self.url,
            **settings,
        }
        self.client = Client(self.url)
        self.http = httpx2.Client(base_url=f"{self.url}/api/v1", timeout=60.0)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *parts: str, **environment: str) -> None:
        for part in parts:
            self.start_as(part, part, **environment)
        if "serve" in parts:
            self.wait_until_serving()

    def start_as(self, name: str, part: str, **environment: str) -> None:
        """Starts a part under a name of its own, beside others of its kind; waits for nothing."""
        with (self.home.parent / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "ktrdr", part],
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_serving(self) -> None:
        def answers() -> bool:
            serving = self.processes.get("serve")
            assert serving is None or serving.poll() is None, f"serve ended; {self.home.parent}/serve.log says why"
            try:
                answer = httpx2.get(f"{self.url}/healthz")
            except httpx2.TransportError:
                return False
            assert answer.status_code == 200, answer.text
            return True

        wait_until(answers)

    def stop(self, part: str, number: int = signal.SIGTERM) -> int:
        """Sends a signal to a part and waits; gives its exit code."""
        process = self.processes.pop(part)
        process.send_signal(number)
        return process.wait(PATIENCE_SECONDS)

    def kill(self, part: str) -> None:
        self.stop(part, signal.SIGKILL)

    def import_samples(self) -> None:
        """The sample prices, as an import over HTTP stores them, without a process that has to load pandas for it."""
        if self.prefix:  # the home may be in another world than this process
            self.client.import_prices(sample.prices(), filename="prices.csv.gz")
            return
        store = open_store(self.home)
        log = store.open_log()
        for data, dataset in _samples():
            store.prices.add(data)
            log.write(lambda transaction, dataset=dataset: put_dataset(transaction, **asdict(dataset)))  # type: ignore[misc]
        log.close()

    def wait_for(self, job_id: str, *statuses: str, seconds: float = PATIENCE_SECONDS) -> Mapping[str, Any]:
        """The job, once it has one of the statuses (or, without any, has ended)."""
        wanted = statuses or ("completed", "failed", "cancelled")

        def reached() -> Mapping[str, Any] | None:
            job = self.client.job(job_id)
            return job if job["status"] in wanted else None

        found: Mapping[str, Any] = wait_until(reached, seconds=seconds)
        return found

    def unfinished_jobs(self) -> set[str]:
        """The ids of the jobs that wait or run."""
        return {job["id"] for job in self.client.jobs(status=["queued", "running", "cancelling"])}

    def end_jobs(self, *, but: Collection[str] = ()) -> None:
        """Cancels every job that has not ended, but for some, and waits until they have."""
        for job_id in self.unfinished_jobs().difference(but):
            self.http.post(f"/jobs/{job_id}/cancel")  # is refused if it has ended meanwhile
        wait_until(lambda: self.unfinished_jobs().issubset(but))

    def close(self) -> None:
        for process in self.processes.values():
            process.terminate()
        try:
            for process in self.processes.values():
                process.wait(PATIENCE_SECONDS)
        finally:
            for process in self.processes.values():
                process.kill()  # does nothing to one that has ended
                process.wait()
            self.processes.clear()
            self.client.close()
            self.http.close()
