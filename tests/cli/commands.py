"""Running commands: here, where that is quick, or in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from running_service import RunningService

from ktrdr import cli


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def ktrdr(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    """Runs a command in this process."""
    capsys.readouterr()
    code = cli.run([str(argument) for argument in arguments])
    return Ran(code, *capsys.readouterr())


def start(service: RunningService, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Starts a command in a process of its own, for the service."""
    return subprocess.Popen(
        [sys.executable, "-m", "ktrdr", *map(str, arguments)],
        env=service.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@contextmanager
def ended_with_the_test(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kills the command at the end of the block, if it has not ended by then."""
    with process:  # closes its pipes
        try:
            yield process
        finally:
            process.kill()
