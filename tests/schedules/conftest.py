"""Fixtures for schedules: a service that has a scheduler and prices but no worker, so that its jobs wait."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from running_service import RunningService


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Shared by the tests of one module; each has schedules of other names."""
    running = RunningService(tmp_path_factory.mktemp("scheduled") / "home")
    try:
        running.start("serve", "scheduler")
        running.import_samples()
        yield running
    finally:
        running.close()
