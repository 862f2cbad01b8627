"""A witness of the log as a real process, on a port of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2
from running_service import PATIENCE_SECONDS, wait_until

from ktrdr.audit.signed.notes import VerifierKey


class RunningWitness:
    """`ktrdr audit witness` as a process."""

    def __init__(self, state: Path, log_key: VerifierKey) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "ktrdr", "audit", "witness", "--state", str(state), "--port", "0",
                "--log-key", str(log_key), "--json",
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ.copy(),
        )  # fmt: skip
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.url, self.key = said["url"], VerifierKey.parse(said["key"])
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            return httpx2.get(self.url).text == f"{self.key}\n"
        except httpx2.TransportError:
            return False

    def add(self, asked: object) -> httpx2.Response:
        """What it answers to a request, given as its text or as what becomes that."""
        return httpx2.post(f"{self.url}/add-checkpoint", content=str(asked).encode())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
