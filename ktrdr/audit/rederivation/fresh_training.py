"""Starts a fresh process that trains once more, under a recorded numeric profile, and hears what it says.

Imports the standard library and the environment of the numeric libraries. The other side is
`ktrdr.audit.rederivation.training_process`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from ktrdr.training.numeric_environment import steered_by

#: What the process says, one at a time: `said` names the kind.
Message = Mapping[str, Any]
_ENDS = ("Trained", "Failed", "Broke", "CheckpointWritten")


class TrainingProcessDiedError(Exception):
    """The fresh process ended before the training did; the message holds the last line of its errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One training, as plain data."""

    strategy: Mapping[str, Any]
    #: `{symbol, timeframe, digest}` each.
    prices: Sequence[Mapping[str, Any]]
    #: `{name, digest}` each.
    context: Sequence[Mapping[str, Any]]
    seed: int
    #: Folder with the data, one `<digest>.npy` each.
    price_folder: str
    #: Where the model shall appear; does not exist yet.
    output: str
    #: DeviceCapabilities, as they were recorded: they decide the size of a batch.
    capabilities: Mapping[str, Any]
    #: The checkpoint of another training that this one goes on from: `{epoch, digest, file}`.
    origin: Mapping[str, Any] | None
    #: A checkpoint that shall be written, and then the training is over: `{epoch, file}`.
    checkpoint: Mapping[str, Any] | None


class FreshTraining:
    """The process, as a context manager that ends it. Raises TrainingProcessDiedError if it does not begin."""

    def __init__(self, *, environment: Mapping[str, str], device: str) -> None:
        """`environment` are the recorded variables that steer the numeric libraries: no others will."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ktrdr.audit.rederivation.training_process", device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=steered_by(environment, os.environ),
            text=True,
            encoding="utf-8",
        )
        try:
            #: `{device, profile}`: what it computes with.
            self.ready: Message = self._next()
        except BaseException:
            self.close()
            raise

    def train(self, order: Order) -> Iterator[Message]:
        """Every stage and epoch, then the end. Raises TrainingProcessDiedError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asdict(order)) + "\n")
            self._process.stdin.close()
        except BrokenPipeError:
            raise self._death() from None
        while True:
            message = self._next()
            yield message
            if message["said"] in _ENDS:
                return

    def _next(self) -> Message:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise self._death()
        message: Message = json.loads(line)
        return message

    def _death(self) -> TrainingProcessDiedError:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return TrainingProcessDiedError(f"the training process ended with code {code}: {last[:500]}")

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):  # an order that nobody read
                if pipe is not None:
                    pipe.close()
        self._errors.close()

    def __enter__(self) -> FreshTraining:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
