"""Who holds a job, and who does not any more: zombies, slow batches, workers that die."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from led_training import led_by_the_hand
from processes import go_on
from running_service import RunningService, wait_until
from strategies import short

from ktrdr.store import open_store

KINDS = {"local": "worker", "host": "host-worker"}
#: Short for tests that wait until it is over, long enough for a worker that has to wait for its turn on a busy machine.
LEASE_SECONDS = 4


@pytest.fixture(params=KINDS)
def part(request: pytest.FixtureRequest, own_service: RunningService) -> str:
    """A service with one worker of a kind."""
    own_service.environment["KTRDR_LEASE_SECONDS"] = str(LEASE_SECONDS)
    own_service.start("serve", "scheduler", KINDS[request.param])
    own_service.import_samples()
    return KINDS[request.param]


@pytest.fixture
def zombies() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that the test has taken from the service, to be ended with it."""
    taken: list[subprocess.Popen[bytes]] = []
    yield taken
    for process in taken:
        go_on(process.pid)
        process.kill()
        process.wait()


def submit_short_job(service: RunningService) -> str:
    """A training of a few seconds."""
    return service.client.submit(short(250), symbols=["AAPL"], seed=3)["id"]


def of_type(service: RunningService, job_id: str, event_type: str) -> list[Any]:
    return [event["data"] for event in service.client.events(job_id) if event["type"] == event_type]


def stop_between_writes(process: subprocess.Popen[bytes], service: RunningService) -> None:
    """Stops a process, but not while it holds the database's lock: that one is ended (test_stopped_writer.py)."""
    log = open_store(service.home).open_log()
    while True:
        process.send_signal(signal.SIGSTOP)
        with suppress(AssertionError):
            wait_until(lambda: log.try_write_all([lambda _: None]), seconds=0.5)
            break
        process.send_signal(signal.SIGCONT)
    log.close()


def test_a_zombie_cannot_write_and_its_job_completes_elsewhere_once(
    own_service: RunningService, part: str, zombies: list[subprocess.Popen[bytes]]
) -> None:
    with led_by_the_hand(own_service, part) as training:
        job_id = submit_short_job(own_service)
        training.to_epoch(job_id, 2)
        first = own_service.client.job(job_id)["worker"]
        zombies.append(own_service.processes.pop(part))
        stop_between_writes(zombies[0], own_service)
    own_service.start(part)  # the zombie's child trains on meanwhile
    second = wait_until(lambda: of_type(own_service, job_id, "JobClaimed")[1:])[0]["worker"]
    assert second != first
    zombies[0].send_signal(signal.SIGCONT)
    job = own_service.wait_for(job_id, "completed")
    events = list(own_service.client.events(job_id))
    requeued = next(event["version"] for event in events if event["type"] == "JobRequeued")
    assert {event["actor"] for event in events if event["version"] > requeued} == {f"worker:{second}"}
    assert [event["type"] for event in events].count("JobCompleted") == 1
    # What was begun twice came to the same each time.
    weights = {(epoch["epoch"], epoch["weights_digest"]) for epoch in of_type(own_service, job_id, "EpochFinished")}
    assert sorted(epoch for epoch, _ in weights) == list(range(1, job["result"]["epochs_trained"] + 1))
    assert zombies[0].poll() is None  # it found out, and would work again


def test_a_batch_that_takes_longer_than_the_lease_loses_nothing(own_service: RunningService, part: str) -> None:
    with led_by_the_hand(own_service, part) as training:
        job_id = submit_short_job(own_service)
        training.to_epoch(job_id, 2)
        time.sleep(1.5 * LEASE_SECONDS)
    assert own_service.wait_for(job_id, "completed")["attempt"] == 1
    assert "LeaseExpired" not in [event["type"] for event in own_service.client.events(job_id)]
