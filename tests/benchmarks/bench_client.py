"""How long people wait for the command line itself: importing the client, help, and pressing tab without a service."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from figures import spread

ROUNDS = 20


def _seconds(command: Sequence[str], **environment: str) -> list[float]:
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(command, env=os.environ | environment, capture_output=True, check=True)
        taken.append(time.perf_counter() - began)
    return taken


def main() -> None:
    spread("a bare interpreter", _seconds([sys.executable, "-c", "pass"]))
    spread("import httpx2", _seconds([sys.executable, "-c", "import httpx2"]))
    spread("import ktrdr.client", _seconds([sys.executable, "-c", "import ktrdr.client"]))
    spread("ktrdr --help", _seconds([sys.executable, "-m", "ktrdr", "--help"]))
    pressed = {"_KTRDR_COMPLETE": "bash_complete", "KTRDR_URL": "http://127.0.0.1:9"}
    program = str(Path(sys.executable).with_name("ktrdr"))
    spread("completing a command", _seconds([program], COMP_WORDS="ktrdr jo", COMP_CWORD="1", **pressed))
    spread("completing a job id", _seconds([program], COMP_WORDS="ktrdr jobs show x", COMP_CWORD="3", **pressed))


if __name__ == "__main__":
    main()
