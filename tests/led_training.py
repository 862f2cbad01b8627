"""A training that is led by the hand: its process stands still, and goes on by a moment for each look at its job.

A short training would be over before a test that waits for its third epoch has looked twice, now and then or on a
machine that has other work to do. This one waits for the test. Linux: reads /proc.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from processes import children, go_on, standing_still
from running_service import PATIENCE_SECONDS, RunningService, wait_until

_MOMENT_SECONDS = 0.004


@dataclass(frozen=True)
class LedTraining:
    """The job process of a worker with one slot."""

    service: RunningService
    #: Which of the service's parts the worker is.
    part: str
    pid: int

    def go_on_for(self, seconds: float) -> None:
        """Lets it run for so long, or a little longer."""
        go_on(self.pid)
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)

    def until(self, condition: Callable[[], Any]) -> None:
        """Lets it go on, moment by moment, until that is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"still not so after {PATIENCE_SECONDS} s"
            self.go_on_for(_MOMENT_SECONDS)

    def to_epoch(self, job_id: str, epoch: int) -> None:
        """Lets it go on until it has finished that epoch, or one soon after."""

        def is_there() -> bool:
            job = self.service.client.job(job_id)
            assert job["status"] in ("queued", "running"), f"it is {job['status']} already: make it longer"
            return job["status"] == "running" and job["progress"]["epoch"] >= epoch

        self.until(is_there)

    def cancel(self, job_id: str, reason: str = "") -> None:
        """Cancels its job, and lets it go on until that has ended."""
        assert self.service.client.cancel(job_id, reason=reason)["status"] == "cancelling"
        # Nothing outside can see when a host worker has heard of it: until then the training must not get far.
        self.until(lambda: self.service.client.job(job_id)["status"] != "cancelling")

    def stop_worker(self) -> int:
        """Tells the worker to stop, and lets the training go on until it has; gives the worker's exit code."""
        worker = self.service.processes.pop(self.part)
        worker.terminate()
        self.until(lambda: worker.poll() is not None)
        return int(worker.returncode)


@contextmanager
def led_by_the_hand(service: RunningService, part: str = "worker") -> Iterator[LedTraining]:
    """Waits until a worker takes jobs, and keeps its job process standing still but for what the block lets it do."""
    process = service.processes[part]
    wait_until(lambda: (process.pid, "alive") in [(one["pid"], one["state"]) for one in service.client.workers()])
    (child,) = children(process.pid)
    with standing_still(child):
        yield LedTraining(service, part, child)
