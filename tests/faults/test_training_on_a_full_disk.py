"""A full disk while jobs train: nothing that was acknowledged is lost, no worker dies, and what can go on goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from processes import children, standing_still
from running_service import RunningService, wait_until
from small_disk import SmallDisk, limit_files, unlimit_files
from strategies import endless, short

#: Less than any checkpoint or model has.
TOO_SMALL = 1_000


def submit(service: RunningService, strategy: dict[str, Any], **fields: Any) -> str:
    answer = service.http.post("/jobs", json={"strategy": strategy, "symbols": ["AAPL"], **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def events(service: RunningService, job_id: str, *types: str) -> list[dict[str, Any]]:
    """The data of a job's events of these types."""
    found = list(service.client.events(job_id))
    assert [event["version"] for event in found] == list(range(1, len(found) + 1))
    return [dict(event["data"]) for event in found if event["type"] in types]


def epoch(service: RunningService, job_id: str) -> int:
    return int(service.client.job(job_id)["progress"]["epoch"])


def printed(service: RunningService, part: str) -> str:
    text = (service.home.parent / f"{part}.log").read_text()
    assert "Traceback" not in text
    return text


@pytest.fixture
def on_disk(service_on_disk: RunningService) -> RunningService:
    service_on_disk.environment["KTRDR_LEASE_SECONDS"] = "4"
    service_on_disk.start("serve", "worker", "scheduler")
    service_on_disk.import_samples()
    return service_on_disk


def test_a_training_outlasts_a_disk_that_is_full_for_longer_than_its_lease(
    on_disk: RunningService, small_disk: SmallDisk
) -> None:
    job_id = submit(on_disk, endless())
    wait_until(lambda: epoch(on_disk, job_id) >= 1)
    pids = [process.pid for process in on_disk.processes.values()]
    small_disk.fill(*pids)
    wait_until(lambda: "trying again until it can be written" in printed(on_disk, "worker"))
    wait_until(lambda: "looking again" in printed(on_disk, "scheduler"))  # the lease has run out, but for the disk
    before = epoch(on_disk, job_id)
    small_disk.free(*pids)
    wait_until(lambda: epoch(on_disk, job_id) > before)
    assert "can be written again" in printed(on_disk, "worker")
    assert events(on_disk, job_id, "LeaseExpired", "JobRequeued") == []
    on_disk.client.cancel(job_id)
    assert on_disk.wait_for(job_id)["status"] == "cancelled"
    assert all(process.poll() is None for process in on_disk.processes.values())


def test_a_worker_that_stops_on_a_full_disk_says_so_and_its_job_is_done_later(
    on_disk: RunningService, small_disk: SmallDisk
) -> None:
    job_id = submit(on_disk, endless())
    wait_until(lambda: epoch(on_disk, job_id) >= 1)
    pids = [process.pid for process in on_disk.processes.values()]
    small_disk.fill(*pids)
    assert on_disk.stop("worker") == 0
    assert "is taken up again when its lease has expired" in printed(on_disk, "worker")
    small_disk.free(*[process.pid for process in on_disk.processes.values()])
    on_disk.start("worker")
    wait_until(lambda: on_disk.client.job(job_id)["attempt"] == 2)
    assert len(events(on_disk, job_id, "LeaseExpired")) == 1
    on_disk.client.cancel(job_id)
    on_disk.wait_for(job_id, "cancelled")


@pytest.fixture
def service(own_service: RunningService) -> RunningService:
    """A service whose worker has done a job, so that its job process is warm."""
    # What the job process logs goes to a file as well, which must not be larger than what it may write.
    own_service.start("serve", "worker", KTRDR_LOG_LEVEL="warning")
    own_service.import_samples()
    own_service.wait_for(submit(own_service, short(1)), "completed")
    return own_service


@pytest.fixture
def child(service: RunningService) -> Iterator[int]:
    (pid,) = children(service.processes["worker"].pid)
    yield pid
    assert children(service.processes["worker"].pid) == [pid]  # nothing of this is worth a process


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(service: RunningService, child: int) -> None:
    limit_files(TOO_SMALL, child)
    job_id = submit(service, endless(), checkpoint_every_epochs=1)
    wait_until(lambda: epoch(service, job_id) >= 3)
    assert events(service, job_id, "CheckpointSaved") == []
    unlimit_files(child)
    wait_until(lambda: events(service, job_id, "CheckpointSaved"))
    service.client.cancel(job_id)
    service.wait_for(job_id, "cancelled")
    assert "was not written" in printed(service, "worker")


def test_a_model_that_cannot_be_written_costs_the_attempt(service: RunningService, child: int) -> None:
    limit_files(TOO_SMALL, child)
    job_id = submit(service, short(1), seed=2, max_attempts=100)
    requeued = wait_until(lambda: events(service, job_id, "JobRequeued"))[0]
    assert requeued["reason"] == "attempt_failed"
    assert f"{service.home}/attempts/" in requeued["message"]
    assert "bytes are free" in requeued["message"]
    unlimit_files(child)
    assert service.wait_for(job_id)["status"] == "completed"


def test_a_model_that_never_can_be_written_fails_the_job_clearly(service: RunningService, child: int) -> None:
    limit_files(TOO_SMALL, child)
    job_id = submit(service, short(1), seed=3, max_attempts=2)
    failure = service.wait_for(job_id, "failed")["failure"]
    assert (failure["kind"], failure["where"]) == ("storage", "save_model")
    assert "bytes are free" in failure["message"]
    assert failure["fix"]
    unlimit_files(child)
    wait_until(lambda: list((service.home / "attempts").iterdir()) == [])
    service.wait_for(submit(service, short(1), seed=4), "completed")


def test_a_model_that_cannot_be_moved_to_its_place_costs_the_attempt(service: RunningService, child: int) -> None:
    models, away = service.home / "models", service.home / "models.away"
    models.rename(away)
    models.write_text("in the way")
    job_id = submit(service, short(1), seed=5, max_attempts=100)
    assert wait_until(lambda: events(service, job_id, "JobRequeued"))[0]["reason"] == "attempt_failed"
    with standing_still(service.processes["worker"].pid, child):  # that it makes no folder there in between
        models.unlink()
        away.rename(models)
    assert service.wait_for(job_id)["status"] == "completed"
