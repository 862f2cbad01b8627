"""Fixtures that every test may use: a running service, shared or of one's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_service import RunningService

for name in [name for name in os.environ if name.startswith("KTRDR_") or name == "USE_TRAINING_HOST_SERVICE"]:
    del os.environ[name]  # a developer's settings are not the tests'


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """API and local worker with the sample prices, shared by the tests of one process: leave it as it was."""
    running = RunningService(tmp_path_factory.mktemp("service") / "home")
    try:
        running.start("serve", "worker")
        running.import_samples()
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def host_worker(service: RunningService) -> Iterator[None]:
    """A host worker beside the shared service, for as long as the tests of one module run."""
    service.start("host-worker")
    yield
    service.stop("host-worker")


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[RunningService]:
    """An empty installation with nothing started yet, for tests that break things."""
    running = RunningService(tmp_path / "home")
    try:
        yield running
    finally:
        running.close()
