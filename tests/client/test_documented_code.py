"""The Python that the README and the documentation of the client show: it runs, in this order, as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from running_service import RunningService

PAGES = [Path(__file__).parents[2] / name for name in ("README.md", "docs/client.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_runs(
    service: RunningService, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTRDR_URL", service.url)
    monkeypatch.chdir(tmp_path)
    text = page.read_text("utf-8")
    names: dict[str, object] = {"__name__": "__main__"}
    for found in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        line = text[: found.start(1)].count("\n")
        exec(compile("\n" * line + found.group(1), str(page), "exec"), names)
