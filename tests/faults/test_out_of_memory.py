"""The machine runs out of memory: it costs an attempt, not the worker, and the job says what happened."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
from processes import children
from running_service import RunningService, wait_until
from strategies import endless, short, trend_follower


@pytest.fixture
def service(own_service: RunningService) -> RunningService:
    own_service.start("serve", "worker")
    own_service.import_samples()
    own_service.wait_for(submit(own_service, short(1)), "completed")
    return own_service


def submit(service: RunningService, strategy: dict[str, Any], **fields: Any) -> str:
    answer = service.http.post("/jobs", json={"strategy": strategy, "symbols": ["AAPL"], **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job_process(service: RunningService) -> int:
    (child,) = children(service.processes["worker"].pid)
    return child


def test_a_killed_process_costs_an_attempt_and_the_next_goes_on_from_the_checkpoint(service: RunningService) -> None:
    job_id = submit(service, endless(), checkpoint_every_epochs=1, max_attempts=2)
    for attempt in (1, 2):
        wait_until(lambda: service.client.job(job_id)["attempt"] == attempt)  # noqa: B023
        wait_until(lambda: service.client.job(job_id)["progress"]["epoch"] >= 2)
        if attempt == 2:
            resumed = [event for event in service.client.events(job_id) if event["type"] == "TrainingResumed"]
            assert resumed[-1]["data"]["epoch"] >= 1
        os.kill(job_process(service), signal.SIGKILL)  # as the kernel's out-of-memory killer does
    failure = service.wait_for(job_id)["failure"]
    assert failure["kind"] == "process_died"
    assert "memory" in failure["message"]
    assert "memory" in failure["fix"]
    service.wait_for(submit(service, short(1), seed=2), "completed")
    assert service.processes["worker"].poll() is None


def test_memory_that_a_training_does_not_get_is_told_as_that(service: RunningService) -> None:
    child = job_process(service)
    status = Path(f"/proc/{child}/status").read_text()
    size = int(next(line for line in status.splitlines() if line.startswith("VmSize")).split()[1]) * 1024
    resource.prlimit(child, resource.RLIMIT_AS, (size + 50_000_000, resource.RLIM_INFINITY))
    large = trend_follower(epochs=1, early_stopping=None)
    large["model"]["architecture"]["hidden_layers"] = [4000, 4000]
    failure = service.wait_for(submit(service, large, max_attempts=1), "failed")["failure"]
    assert failure["kind"] == "out_of_memory"
    assert "hidden units" in failure["fix"]
    resource.prlimit(child, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    service.wait_for(submit(service, short(1), seed=2), "completed")
    assert job_process(service) == child


def test_the_kernel_chooses_the_job_process_rather_than_the_worker(service: RunningService) -> None:
    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    worker, api = service.processes["worker"].pid, service.processes["serve"].pid
    assert score(job_process(service)) == 500
    assert score(worker) == score(api) == score(os.getpid())
