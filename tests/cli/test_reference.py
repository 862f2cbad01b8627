"""The generated pages of the documentation say what commands and API say now."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from ktrdr.api import reference as http
from ktrdr.cli import reference as cli

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("module", "page"), [(cli, "cli.md"), (http, "http.md")])
def test_a_reference_is_current(module: ModuleType, page: str) -> None:
    assert (DOCS / page).read_text() == module.reference(), f"run: python -m {module.__name__} > docs/{page}"


def test_every_command_and_operation_is_there() -> None:
    commands = cli.reference()
    assert "`ktrdr schedules create`" in commands
    assert "`ktrdr tokens revoke`" in commands
    assert "### `POST /api/v1/jobs/{job_id}/cancel`" in http.reference()
