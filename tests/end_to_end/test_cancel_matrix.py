"""A cancellation meets a job in every situation: each has its right answer, and the job ends once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from led_training import led_by_the_hand
from processes import children, standing_still
from running_service import PATIENCE_SECONDS, RunningService, wait_until
from strategies import endless, short

from ktrdr.jobs.codec import TERMINAL_TYPES

#: Waiting or running when they are cancelled all at once (a thousand in bench_recovery.py).
JOBS = 300
KINDS = {"local": "worker", "host": "host-worker"}


@pytest.fixture(scope="module", params=KINDS)
def running_kind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningService, str]]:
    """A service with a short lease and one worker of a kind."""
    service = RunningService(tmp_path_factory.mktemp(request.param) / "home", KTRDR_LEASE_SECONDS="5")
    try:
        service.start("serve", "scheduler", KINDS[request.param])
        service.import_samples()
        yield service, request.param
    finally:
        service.close()


@pytest.fixture
def service(running_kind: tuple[RunningService, str]) -> RunningService:
    """The service, with a worker that is warm whatever the test before did to it."""
    service, kind = running_kind
    if KINDS[kind] not in service.processes:
        service.start(KINDS[kind])
    service.wait_for(service.client.submit(short(1))["id"], "completed")
    return service


@pytest.fixture
def kind(running_kind: tuple[RunningService, str]) -> str:
    return running_kind[1]


def job_process(service: RunningService, kind: str) -> int:
    """The process that trains."""
    (child,) = children(service.processes[KINDS[kind]].pid)
    return child


def start_endless_job(service: RunningService) -> str:
    job_id = service.client.submit(endless())["id"]
    wait_until(lambda: service.client.job(job_id)["progress"]["epoch"] >= 1)
    return job_id


def only_end(service: RunningService, job_id: str) -> dict[str, Any]:
    """The last event of a job that has ended once."""
    events = list(service.client.events(job_id))
    ends = [event for event in events if event["type"] in TERMINAL_TYPES]
    assert ends == events[-1:]
    return dict(ends[0])


def test_a_job_that_is_about_to_begin_stops_before_its_first_stage(service: RunningService, kind: str) -> None:
    with led_by_the_hand(service, KINDS[kind]) as training:
        job_id = service.client.submit(endless())["id"]
        service.wait_for(job_id, "running")
        training.cancel(job_id)
    service.wait_for(job_id, "cancelled")
    assert only_end(service, job_id)["data"]["outcome"] == "stopped"
    assert not [event for event in service.client.events(job_id) if event["type"] == "EpochFinished"]


def test_a_batch_that_never_ends_is_ended(service: RunningService, kind: str) -> None:
    job_id = start_endless_job(service)
    with standing_still(job_process(service, kind)):
        service.client.cancel(job_id, reason="stuck")
        service.wait_for(job_id, "cancelled")
    assert only_end(service, job_id)["data"]["outcome"] == "killed"
    # The worker has another process by now.
    service.wait_for(service.client.submit(short(1))["id"], "completed")


def test_a_job_whose_worker_is_being_stopped_ends_cancelled(service: RunningService, kind: str) -> None:
    job_id = start_endless_job(service)
    worker = service.processes.pop(KINDS[kind])
    (child,) = children(worker.pid)
    with standing_still(child):
        worker.send_signal(signal.SIGTERM)
        assert service.http.post(f"/jobs/{job_id}/cancel").status_code == 202
    assert worker.wait(PATIENCE_SECONDS) == 0
    service.wait_for(job_id, "cancelled")
    only_end(service, job_id)


def test_a_job_on_a_dead_worker_ends_cancelled_once_its_lease_is_lost(service: RunningService, kind: str) -> None:
    job_id = start_endless_job(service)
    service.kill(KINDS[kind])
    assert service.http.post(f"/jobs/{job_id}/cancel").status_code == 202
    service.wait_for(job_id, "cancelled")
    assert only_end(service, job_id)["data"]["outcome"] == "worker_lost"


def test_asked_twice_a_running_job_stops_once_and_an_ended_one_says_so(service: RunningService) -> None:
    job_id = start_endless_job(service)
    with ThreadPoolExecutor(8) as clients:
        codes = list(clients.map(lambda _: service.http.post(f"/jobs/{job_id}/cancel").status_code, range(8)))
    assert set(codes) <= {202, 409}
    assert 202 in codes
    service.wait_for(job_id, "cancelled")
    refused = service.http.post(f"/jobs/{job_id}/cancel")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        f"job {job_id} is already cancelled, so nothing more can happen to it",
    )
    only_end(service, job_id)


def test_hundreds_of_cancellations_at_once_are_all_honoured(own_service: RunningService) -> None:
    own_service.start("serve", "worker", "host-worker", "scheduler")
    own_service.import_samples()
    with ThreadPoolExecutor(16) as clients:
        submissions = clients.map(
            lambda seed: own_service.http.post("/jobs", json={"strategy": endless(), "seed": seed}).json()["id"],
            range(JOBS),
        )
        job_ids = list(submissions)
        codes = list(clients.map(lambda job_id: own_service.http.post(f"/jobs/{job_id}/cancel").status_code, job_ids))
    assert set(codes) <= {200, 202}
    wait_until(lambda: own_service.client.ready()["jobs"] == {"cancelled": JOBS})
    events = [
        event
        for after in range(0, own_service.client.ready()["position"], 500)
        for event in own_service.http.get("/events", params={"after": after, "limit": 500}).json()["events"]
    ]
    ends = [event["job_id"] for event in events if event["type"] in TERMINAL_TYPES]
    assert sorted(ends) == sorted(job_ids)
