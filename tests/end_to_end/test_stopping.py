"""SIGTERM and kill -9: what was acknowledged is there, streams resume, jobs go on."""

from __future__ import annotations

import random
import signal
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from running_service import PATIENCE_SECONDS, RunningService, wait_until
from strategies import endless, short

from ktrdr.audit.checking.verify import verify
from ktrdr.client import ApiError, Client, ServiceUnreachableError
from ktrdr.store import open_store
from ktrdr.store.rebuild import rebuild


def test_the_api_stops_at_once_although_a_stream_is_open(own_service: RunningService) -> None:
    own_service.start("serve")
    lines: list[str] = []

    def read() -> None:
        with httpx2.stream(
            "GET", f"{own_service.url}/api/v1/events", headers={"Accept": "text/event-stream"}
        ) as stream:
            for line in stream.iter_lines():  # raises if the stream does not end as HTTP says it must
                lines.append(line)  # seen by the test while the stream is open

    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read)
        wait_until(lambda: lines or reading.done())
        assert own_service.stop("serve") == 0
        reading.result()
    # It has not waited for its patience with open requests to end.
    assert "exceeded" not in (own_service.home.parent / "serve.log").read_text()
    assert lines[-3:] == ["event: server-stopping", "data: {}", ""]


def test_a_follower_sees_every_event_once_although_the_api_restarts(own_service: RunningService) -> None:
    own_service.start("serve", "worker")
    own_service.import_samples()
    job_id = own_service.client.submit(short(150), target="local")["id"]
    seen: list[int] = []

    def follow() -> None:
        with Client(own_service.url) as client:
            seen.extend(event["version"] for event in client.events(job_id, follow=True))

    with ThreadPoolExecutor(1) as follower:
        following = follower.submit(follow)
        for number in (signal.SIGTERM, signal.SIGKILL):
            wait_until(lambda: own_service.client.job(job_id)["progress"]["epoch"] >= 2)
            own_service.stop("serve", number)
            own_service.start("serve")
        own_service.wait_for(job_id, "completed")
        following.result(PATIENCE_SECONDS)
    assert seen == list(range(1, own_service.client.job(job_id)["version"] + 1))


def test_a_worker_that_is_told_to_stop_gives_its_job_back(own_service: RunningService) -> None:
    own_service.start("serve", "worker")
    own_service.import_samples()
    job_id = own_service.client.submit(endless())["id"]
    own_service.wait_for(job_id, "running")
    assert own_service.stop("worker") == 0
    job = own_service.client.job(job_id)
    assert job["status"] == "queued"
    assert [
        event["data"]["reason"] for event in own_service.client.events(job_id) if event["type"] == "JobRequeued"
    ] == ["released"]


def test_the_job_of_a_killed_worker_runs_again_elsewhere_once(own_service: RunningService) -> None:
    own_service.environment["KTRDR_LEASE_SECONDS"] = "4"
    own_service.start("serve", "worker", "scheduler")
    own_service.import_samples()
    job_id = own_service.client.submit(endless())["id"]
    wait_until(lambda: own_service.client.job(job_id)["progress"]["epoch"] >= 1)
    own_service.kill("worker")
    own_service.wait_for(job_id, "queued")
    own_service.start("worker")
    own_service.wait_for(job_id, "running")
    own_service.client.cancel(job_id)
    assert own_service.wait_for(job_id, "cancelled")["attempt"] == 2
    types = [event["type"] for event in own_service.client.events(job_id)]
    assert types.count("LeaseExpired") == types.count("JobRequeued") == 1
    assert types.count("JobClaimed") == 2


@pytest.mark.parametrize("seed", [1])
def test_nothing_acknowledged_is_lost_when_api_and_worker_are_killed_at_random(
    own_service: RunningService, seed: int
) -> None:
    random_numbers = random.Random(seed)
    own_service.environment["KTRDR_LEASE_SECONDS"] = "2"
    own_service.start("serve", "worker", "scheduler")
    own_service.import_samples()
    acknowledged: dict[str, str] = {}
    is_done, was_killed_twice, is_over = (threading.Event() for _ in range(3))

    def submit_all() -> None:
        with Client(own_service.url) as client:
            for number in range(100):
                if number == 75:
                    was_killed_twice.wait()
                key = uuid.uuid4().hex
                while not is_over.is_set():
                    try:
                        acknowledged[key] = client.submit(
                            short(1), symbols=["FB"], seed=number, max_attempts=50, idempotency_key=key
                        )["id"]
                    except (ServiceUnreachableError, ApiError):
                        continue  # the same key again: it must not make a second job
                    break
        is_done.set()

    submitter = threading.Thread(target=submit_all)
    submitter.start()
    kills = 0
    try:
        while not is_done.wait(random_numbers.uniform(0.3, 1.0)):
            part = random_numbers.choice(["serve", "worker"])
            own_service.kill(part)
            own_service.start(part)
            kills += 1
            if kills == 2:
                was_killed_twice.set()
    finally:
        is_over.set()
        was_killed_twice.set()
        submitter.join()
    assert len(set(acknowledged.values())) == 100
    states = [own_service.wait_for(job_id)["status"] for job_id in acknowledged.values()]
    assert states == ["completed"] * 100
    assert len(list(own_service.client.jobs())) == 100  # no repeated submission made a second job
    own_service.close()
    store = open_store(own_service.home)
    assert rebuild(store.engine, store.doorbell, repair=False).differences == ()
    assert verify(store).findings == ()
