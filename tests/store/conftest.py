"""A fresh installation per test: real files, real SQLite."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "jobs"))  # job_builders and job_strategies

from store_steps import Observer, SettableClock

from ktrdr.store import Log, Reader, Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "home")


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def log(store: Store, clock: SettableClock) -> Iterator[Log]:
    """A log whose time stands still until the test moves it."""
    log = Log(store.engine, store.doorbell, clock=clock)
    yield log
    log.close()


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    reader = store.open_reader()
    yield reader
    reader.close()


@pytest.fixture
def observer(store: Store, log: Log) -> Iterator[Observer]:
    """Someone who notices silent leases."""
    observer = Observer(store, log)
    yield observer
    observer.close()
