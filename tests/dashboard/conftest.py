"""What the tests of the pages have in common: a browser, and jobs that have ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser import CHROMIUM, Browser, opened_browser
from dashboard_steps import ended, submit
from running_service import RunningService
from strategies import short


@pytest.fixture(scope="session")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with opened_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(_browser: Browser) -> Iterator[Browser]:
    """A browser as a person has it; whatever a page complains of fails the test."""
    _browser.show_as()
    _browser.open("about:blank")
    yield _browser
    complaints = list(_browser.complaints)
    _browser.open("about:blank")
    assert complaints == []


@pytest.fixture(scope="module")
def trained(service: RunningService) -> dict[str, Any]:
    """A job that has trained three epochs, with a checkpoint of each."""
    job = submit(service, short(3), checkpoint_every_epochs=1, labels={"desk": "dashboard"})
    return ended(service, job["id"], "completed")
