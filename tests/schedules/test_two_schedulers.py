"""Real schedulers that are killed and stopped at any moment: each moment has one fate, and none waits for the dead."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator

import pytest
from running_service import RunningService, wait_until
from schedule_steps import create, every, fates, pause, require_each_moment_once

from ktrdr.store import Store, open_store


@pytest.fixture
def store(own_service: RunningService) -> Iterator[Store]:
    own_service.import_samples()
    opened = open_store(own_service.home)
    yield opened
    opened.engine.dispose()


def wait_for_more(store: Store, name: str, more: int = 2) -> None:
    before = len(fates(store, name))
    wait_until(lambda: len(fates(store, name)) >= before + more)


def said(service: RunningService, name: str, text: str) -> bool:
    return text in (service.home.parent / f"{name}.log").read_text()


def test_killed_at_any_moment_they_fire_each_moment_once(own_service: RunningService, store: Store) -> None:
    own_service.start_as("one", "scheduler")
    own_service.start_as("two", "scheduler")
    create(store, "secondly", every("1s"))
    create(store, "odd", every("3s", misfire="once", overlap="skip", grace_seconds=1))
    wait_for_more(store, "secondly")
    chance = random.Random(20_240_531)
    for name in ("one", "two", "one"):
        time.sleep(chance.uniform(0, 1.5))
        own_service.kill(name)
        own_service.start_as(name, "scheduler")
    wait_for_more(store, "secondly", 3)
    for name in ("secondly", "odd"):
        pause(store, name)
    assert set(require_each_moment_once(store, "secondly")) <= {"due", "catch_up"}
    require_each_moment_once(store, "odd")


def test_where_the_leader_stands_still_the_other_leads_until_it_goes_on(
    own_service: RunningService, store: Store
) -> None:
    own_service.start_as("one", "scheduler")
    create(store, "secondly", every("1s"))
    wait_for_more(store, "secondly")
    own_service.start_as("two", "scheduler")
    stopped = own_service.processes["one"]
    time.sleep(0.3)  # most likely between two firings
    stopped.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: said(own_service, "two", "this scheduler leads: the one before stands still"))
        wait_for_more(store, "secondly")
    finally:
        stopped.send_signal(signal.SIGCONT)
    # One that was stopped in the middle of a write after all is ended by the other (`ktrdr.store.stopped_writer`).
    wait_until(lambda: said(own_service, "two", "another scheduler leads") or stopped.poll() is not None)
    own_service.kill("one")
    wait_for_more(store, "secondly")
    pause(store, "secondly")
    assert set(require_each_moment_once(store, "secondly")) <= {"due", "catch_up"}
