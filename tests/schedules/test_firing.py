"""Two observers in one process look at the same schedules at once, with clocks of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from running_service import RunningService
from schedule_steps import create, every, fates, require_each_moment_once, writing

from ktrdr.audit.checking.replay import replay
from ktrdr.jobs.events import Target
from ktrdr.jobs.service.schedules import Schedule
from ktrdr.scheduler.firing import Firing
from ktrdr.store import Store, open_store
from ktrdr.store.catalogue import put_strategy

START = datetime(2050, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(RunningService(tmp_path / "home")) as service:
        service.import_samples()
    opened = open_store(tmp_path / "home")
    yield opened
    opened.engine.dispose()


def look(store: Store, clock: Clock) -> datetime | None:
    with writing(store, clock) as log, closing(store.open_reader()) as reader:
        return Firing(log, reader, default_target=Target.LOCAL, clock=clock)()


def at_once(*acts: Callable[[], Any]) -> None:
    barrier = threading.Barrier(len(acts))

    def act(do: Callable[[], Any]) -> None:
        barrier.wait()
        do()

    threads = [threading.Thread(target=act, args=(do,)) for do in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_three_that_look_at_once_fire_each_moment_once(store: Store, clock: Clock) -> None:
    create(store, "a", every("1m", start=START), clock)
    create(store, "b", every("7m", start=START, misfire="once", overlap="skip"), clock)
    for _ in range(3):
        clock.now += timedelta(minutes=25)
        at_once(*[lambda: look(store, clock)] * 3)
    assert require_each_moment_once(store, "a") == {"catch_up": 57, "due": 18}
    assert require_each_moment_once(store, "b")["due"] <= 1
    assert replay(store).is_equal


def test_a_look_tells_when_to_look_next(store: Store, clock: Clock) -> None:
    assert look(store, clock) is None
    create(store, "a", every("1h", start=START), clock)
    create(store, "b", every("90m", start=START), clock)
    assert look(store, clock) == START + timedelta(hours=1)
    clock.now += timedelta(hours=1, seconds=1)
    assert look(store, clock) == START + timedelta(minutes=90)
    assert [how for _, how in fates(store, "a")] == ["due"]


def test_a_schedule_whose_strategy_is_gone_skips_until_it_is_back(store: Store, clock: Clock) -> None:
    create(store, "a", every("1h", start=START, job={"strategy": "mine", "symbols": ["AAPL"]}), clock)
    create(store, "b", every("1h", start=START), clock)
    clock.now += timedelta(hours=1)
    look(store, clock)
    from ktrdr import sample

    with writing(store, clock) as log:
        log.write(
            lambda transaction: put_strategy(transaction, name="mine", source=sample.strategies()["trend_follower"])
        )
    clock.now += timedelta(hours=1)
    look(store, clock)
    assert [how for _, how in fates(store, "a")] == ["refused", "due"]
    assert [how for _, how in fates(store, "b")] == ["due", "due"]
    with closing(store.open_reader()) as reader:
        assert "there is no strategy 'mine'" in reader.subject(Schedule, "a").skip_detail


def test_a_definition_that_this_version_cannot_read_holds_up_no_other(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    create(store, "a", every("1h", start=START, misfire="sometimes"), clock)
    create(store, "b", every("1h", start=START), clock)
    clock.now += timedelta(hours=1)
    with writing(store, clock) as log, closing(store.open_reader()) as reader:
        firing = Firing(log, reader, default_target=Target.LOCAL, clock=clock)
        firing()
        firing()
    assert [how for _, how in fates(store, "b")] == ["due"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "schedule a cannot be fired; it is tried again at each look"
    ]
