"""The wall clock is set forward and back by an hour under a schedule: nothing fires twice, and nothing is lost."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from faked_clock import FakedClock
from running_service import RunningService, wait_until

HOUR = 3600.0


@pytest.fixture
def clock(tmp_path: Path) -> FakedClock:
    return FakedClock(tmp_path / "clock")


@pytest.fixture
def service(own_service: RunningService, clock: FakedClock) -> RunningService:
    own_service.environment |= clock.environment
    own_service.start("serve", "scheduler")
    own_service.import_samples()
    return own_service


def moments(service: RunningService) -> list[dict[str, Any]]:
    return list(service.client.firings("secondly"))


def wait_for_firings(service: RunningService, number: int) -> None:
    fired = service.client.schedule("secondly")["fired"]
    wait_until(lambda: service.client.schedule("secondly")["fired"] >= fired + number)


def test_set_forward_and_back_each_moment_has_one_fate(service: RunningService, clock: FakedClock) -> None:
    service.client.create_schedule(
        "secondly", {"strategy": "trend_follower", "symbols": ["AAPL"]}, every="1s", overlap="queue", grace_seconds=60
    )
    wait_for_firings(service, 2)
    clock.step(HOUR)
    wait_for_firings(service, 3)
    (missed,) = [one for one in moments(service) if one["reason"] == "misfire"]
    assert 3000 < missed["count"] < 3600  # but for those within the grace, which fired
    service.kill("scheduler")
    clock.step(0.0)
    fired = service.client.schedule("secondly")["fired"]
    # By the clock it is an hour too early for what comes next, and a scheduler that starts now does not begin again.
    service.start_as("another", "scheduler")
    wait_until(lambda: "this scheduler leads" in (service.home.parent / "another.log").read_text())
    asked = service.client.fire_schedule("secondly")
    assert service.client.schedule("secondly")["fired"] == fired + 1
    clock.step(HOUR)
    wait_for_firings(service, 2)
    service.client.pause_schedule("secondly")
    found = [one for one in reversed(moments(service)) if one["outcome"] != "now"]
    ids = [one["job_id"] for one in found if one["job_id"]]
    assert len(ids) == len(set(ids))
    assert asked["id"] not in ids
    # One after the other, second by second, each in one record.
    assert [one["due_at"] for one in found] == sorted({one["due_at"] for one in found})
    first, last = datetime.fromisoformat(found[0]["due_at"]), datetime.fromisoformat(found[-1]["until"])
    assert sum(one["count"] for one in found) == (last - first).total_seconds() + 1
