"""The wall clock is set back or forward by an hour while jobs run, and nothing goes by it that must not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from faked_clock import FakedClock
from processes import children, standing_still
from running_service import RunningService, wait_until
from strategies import endless, short

from ktrdr.clock import steady_moment

HOUR = 3600.0
STEPS = [pytest.param(-HOUR, id="back"), pytest.param(HOUR, id="forward")]


@pytest.fixture
def clock(tmp_path: Path) -> FakedClock:
    return FakedClock(tmp_path / "clock")


@pytest.fixture
def service(own_service: RunningService, clock: FakedClock) -> RunningService:
    """A service by that clock, whose leases last five seconds."""
    own_service.environment |= clock.environment | {"KTRDR_LEASE_SECONDS": "5"}
    own_service.start("serve", "worker", "scheduler")
    own_service.import_samples()
    return own_service


def events(service: RunningService, job_id: str) -> list[dict[str, Any]]:
    found = list(service.client.events(job_id))
    times = [event["recorded_at"] for event in found]
    assert times == sorted(times)
    return found


def start_endless_job(service: RunningService) -> str:
    job_id: str = service.client.submit(endless())["id"]
    wait_until(lambda: service.client.job(job_id)["progress"]["epoch"] >= 1)
    return job_id


@pytest.mark.parametrize("step", STEPS)
def test_a_living_worker_keeps_its_lease_and_a_dead_one_loses_it(
    service: RunningService, clock: FakedClock, step: float
) -> None:
    job_id = start_endless_job(service)
    epoch = service.client.job(job_id)["progress"]["epoch"]
    clock.step(step)
    wait_until(lambda: service.client.job(job_id)["progress"]["epoch"] > epoch)
    service.kill("worker")
    service.wait_for(job_id, "queued")
    types = [event["type"] for event in events(service, job_id)]
    assert types.count("LeaseExpired") == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_cancellation_is_honoured_and_its_receipt_says_nothing_wrong(
    service: RunningService, clock: FakedClock, step: float
) -> None:
    job_id = start_endless_job(service)
    (child,) = children(service.processes["worker"].pid)
    with standing_still(child):  # so that the clock is set between the request and its being seen
        service.client.cancel(job_id)
        clock.step(step)
    service.wait_for(job_id, "cancelled")
    receipt = events(service, job_id)[-1]["data"]
    assert receipt["outcome"] == "stopped"
    assert receipt["batches_after_request"] is None  # nobody can know


def test_the_ladder_ends_a_job_that_ignores_its_cancellation(service: RunningService, clock: FakedClock) -> None:
    job_id = start_endless_job(service)
    (child,) = children(service.processes["worker"].pid)
    with standing_still(child):
        service.client.cancel(job_id)
        clock.step(-HOUR)
        service.wait_for(job_id, "cancelled")
    assert events(service, job_id)[-1]["data"]["outcome"] == "killed"


@pytest.mark.parametrize("step", STEPS)
def test_streams_and_lists_go_on(service: RunningService, clock: FakedClock, step: float) -> None:
    first = service.client.submit(short(1))["id"]
    service.wait_for(first, "completed")
    clock.step(step)
    second = service.client.submit(short(1))["id"]
    versions = [event["version"] for event in service.client.events(second, follow=True)]
    assert versions == list(range(1, len(versions) + 1))
    jobs = {job["id"]: job for job in service.client.jobs()}
    since = jobs[second]["submitted_at"]
    assert since >= jobs[first]["submitted_at"]
    listed = service.http.get("/jobs", params={"submitted_from": since}).json()["jobs"]
    assert second in [job["id"] for job in listed]
    everything = service.http.get("/events", params={"limit": 500}).json()["events"]
    assert all(one["recorded_at"] <= two["recorded_at"] for one, two in itertools.pairwise(everything))


def test_a_receipt_counts_where_the_clock_was_left_alone(service: RunningService) -> None:
    job_id = start_endless_job(service)
    (child,) = children(service.processes["worker"].pid)
    with standing_still(child):
        service.client.cancel(job_id)
    service.wait_for(job_id, "cancelled")
    # It may have been about to begin a batch; of none that it began before is said that it came after the request.
    assert events(service, job_id)[-1]["data"]["batches_after_request"] in (0, 1)


def test_a_host_worker_goes_by_its_own_steady_clock(service: RunningService, clock: FakedClock) -> None:
    """The service tells it how old a request is, by a clock that was set back: an hour in the future."""
    service.stop("worker")
    service.start("host-worker")
    honoured = start_endless_job(service)
    clock.step(-HOUR)
    service.client.cancel(honoured)
    service.wait_for(honoured, "cancelled")
    receipt = events(service, honoured)[-1]["data"]
    assert (receipt["outcome"], receipt["batches_after_request"]) == ("stopped", None)
    ignored = start_endless_job(service)
    (child,) = children(service.processes["host-worker"].pid)
    with standing_still(child):
        service.client.cancel(ignored)
        service.wait_for(ignored, "cancelled")
    assert events(service, ignored)[-1]["data"]["outcome"] == "killed"


def test_what_two_clocks_say_is_believed_only_where_it_can_be() -> None:
    assert steady_moment(0.25, after=10.0, now=12.0) == 11.75
    assert steady_moment(2.5, after=10.0, now=12.0) == 9.5  # recorded, but not committed at the look before
    for age in (HOUR, -HOUR, 3.5, -1.5):
        assert steady_moment(age, after=10.0, now=12.0) is None
