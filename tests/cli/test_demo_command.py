"""`ktrdr demo`, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from running_service import PATIENCE_SECONDS


def test_the_demo_shows_all_of_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "KTRDR_DATABASE_URL": "sqlite:////nowhere/else.db"}
    ran = subprocess.run(
        [sys.executable, "-m", "ktrdr", "demo"],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE_SECONDS,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "\x1b" not in ran.stdout
    assert "AAPL   3270 daily bars, 2000-03-01 to 2013-03-01" in ran.stdout
    assert "completed after" in ran.stdout
    assert "without skill" in ran.stdout
    assert "MSFT    2013-03-01  0." in ran.stdout
    assert "\nsound: " in ran.stdout
    assert " signed checkpoints verified, nothing is missing" in ran.stdout
    assert "every byte of the model" in ran.stdout
    assert "nothing is left behind" in ran.stdout
    assert list(tmp_path.iterdir()) == []
