"""A job process as its worker sees it: started warm, given one job at a time, ended for certain.

Imports the standard library and the messages only; torch is imported on the other side of the pipe.
"""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing.connection import Connection, Pipe
from typing import Any

from ktrdr.training.progress import Progress
from ktrdr.worker.messages import Ended, FromChild, Ready, ToChild

#: torch takes this long to import on a slow disk.
START_SECONDS = 120.0


class JobProcessDiedError(Exception):
    """The job process is gone; the message says how it ended."""


class JobProcess:
    """One child process that runs `module`; see `ktrdr.worker.child`."""

    def __init__(self, module: str) -> None:
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # One thread per job, before any library reads it: results do not depend on the number of cores.
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            )
        #: Readable when a message waits or the process has ended.
        self.pipe: Connection[Any, Any] = ours
        self._ready: Ready | None = None

    def wait_until_ready(self) -> Ready:
        """What the process can do, once it is warm. Raises JobProcessDiedError."""
        if self._ready is None:
            if not self.pipe.poll(START_SECONDS):
                raise JobProcessDiedError(f"the job process was not ready after {START_SECONDS:.0f} s")
            message = self.receive()
            if not isinstance(message, Ready):
                raise JobProcessDiedError(f"the job process began with {message}")
            self._ready = message
        return self._ready

    def send(self, message: ToChild) -> None:
        """Raises JobProcessDiedError."""
        try:
            self.pipe.send(message)
        except OSError:
            raise JobProcessDiedError(self._how_it_ended()) from None

    def receive(self) -> FromChild:
        """The next message, waiting for it. Raises JobProcessDiedError."""
        try:
            message: FromChild = self.pipe.recv()
        except (EOFError, OSError):
            raise JobProcessDiedError(self._how_it_ended()) from None
        return message

    def receive_all(self) -> tuple[list[Progress], Ended | None]:
        """What was said up to now, without waiting, and how the job ended, if it did. Raises JobProcessDiedError."""
        said: list[Progress] = []
        while self.pipe.poll():
            message = self.receive()
            if isinstance(message, Ended):
                return said, message
            if not isinstance(message, Ready):
                said.append(message)
        return said, None

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        """Ends the process and waits until it is gone."""
        self._process.kill()
        self._process.wait()
        self.pipe.close()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        if code == -9:
            return "the job process was killed, most often because the machine ran out of memory"
        return f"the job process ended by signal {-code}" if code < 0 else f"the job process ended with code {code}"
