"""Fixtures that every test may use: a running service, shared or of one's own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from running_service import RunningService
from token_service import TokenService

for name in [name for name in os.environ if name.startswith("KTRDR_") or name == "USE_TRAINING_HOST_SERVICE"]:
    del os.environ[name]  # a developer's settings are not the tests'
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in the background of a shell, and every process that we start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes says more of the machine's other work than of what is tested.
hypothesis.settings.register_profile(
    "patient", max_examples=50, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

_SHARED = pytest.StashKey[RunningService]()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[RunningService]:
    """API and local worker with the sample prices, shared by the tests of one process: leave it as it was."""
    running = RunningService(tmp_path_factory.mktemp("service") / "home")
    try:
        running.start("serve", "worker")
        running.import_samples()
        pytestconfig.stash[_SHARED] = running
        yield running
    finally:
        running.close()


@pytest.fixture(autouse=True)
def jobs_end_with_their_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ends the jobs that a test leaves in the shared service, so that no other test waits behind them or sees them."""
    shared = request.config.stash.get(_SHARED, None) if "service" in request.fixturenames else None
    before = shared.unfinished_jobs() if shared else set()
    yield
    if shared:
        shared.end_jobs(but=before)


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


@pytest.fixture(scope="session")
def token_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenService]:
    """An API that wants tokens and logs every request, shared by the tests of one process."""
    running = TokenService(tmp_path_factory.mktemp("tokens") / "home", KTRDR_ACCESS_LOG="true")
    try:
        running.start("serve")
        yield running
    finally:
        running.close()
