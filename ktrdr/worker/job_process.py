"""A job process as its worker sees it: started warm, given one job at a time, ended for certain.

Imports the standard library and the messages only; torch is imported on the other side of the pipe.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection, Pipe
from typing import Any

from ktrdr.worker.messages import Ended, FromChild, Ready, Said, ToChild, Train

logger = logging.getLogger(__name__)

#: A child that ignores a cancellation for so long is asked to end, asked again, then ended.
TERMINATE_AFTER_SECONDS = (5.0, 7.5)
KILL_AFTER_SECONDS = 10.0
#: How long a stopping worker waits for a child to write its checkpoint: what cannot stop by then is ended.
PAUSE_SECONDS = 5.0


#: One thread per job: results do not depend on the number of cores.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
#: Keeps MKL, oneDNN and torch itself to the instructions that every x86-64 processor has, each in its own words.
_PORTABLE = {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}


def environment_of_child(environment: Mapping[str, str]) -> dict[str, str]:
    """The worker's own environment, and what must be set before the child's numeric libraries are loaded."""
    is_portable = environment.get("KTRDR_NUMERICS", "").strip().lower() == "portable"
    return {**environment, **_ONE_THREAD, **(_PORTABLE if is_portable else {})}


class JobProcessDiedError(Exception):
    """The job process is gone; the message says how it ended."""


class JobProcess:
    """A child process that runs `module` (see `ktrdr.worker.child`), and its successor should it die."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._start()

    def _start(self) -> None:
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment_of_child(os.environ),
            )
        #: How often the present job was pressed to end.
        self._pressed = 0
        #: Readable when a message waits or the process has ended.
        self.pipe: Connection[Any, Any] = ours
        self._ready: Ready | None = None

    def restart(self) -> None:
        """Ends the process, whatever it does, and starts another."""
        self.kill()
        self._start()

    def ready(self, stopping: threading.Event) -> Ready | None:
        """What the process can do, once it is warm; started again if it has died. None if the worker stops first."""
        while not stopping.is_set():
            try:
                if self._process.poll() is not None:
                    self.restart()
                if self._ready is None:
                    self._ready = self._first_message(stopping)
                return self._ready
            except JobProcessDiedError as error:
                logger.error("%s before it was ready; starting another", error)
                stopping.wait(1.0)
        return None

    def _first_message(self, stopping: threading.Event) -> Ready | None:
        while not self.pipe.poll(0.1):
            if stopping.is_set():
                return None
        message = self.receive()
        if not isinstance(message, Ready):
            raise JobProcessDiedError(f"the job process began with {type(message).__name__}")
        return message

    def send(self, message: ToChild) -> None:
        """Raises JobProcessDiedError."""
        if isinstance(message, Train):
            self._pressed = 0
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

    def receive_all(self) -> tuple[list[Said], Ended | None]:
        """What was said up to now, without waiting, and how the job ended, if it did.

        Raises JobProcessDiedError, once everything that the process had said was given.
        """
        said: list[Said] = []
        while self.pipe.poll():
            try:
                message = self.receive()
            except JobProcessDiedError:
                if said:
                    break  # the next call finds it as dead
                raise
            if isinstance(message, Ended):
                return said, message
            if not isinstance(message, Ready):
                said.append(message)
        return said, None

    def stop(self) -> None:
        """Asks the process, by SIGTERM, to stop its job and keep what it has; call it once per job.

        Before its next batch it writes the checkpoint of its last epoch, unless that is written already, says
        CheckpointWritten, and ends the job as Paused; or as Trained or Stopped, if that comes first. Go on receiving
        for PAUSE_SECONDS, then `kill`: a long batch cannot be stopped. A second SIGTERM, a second or more after the
        first, ends the process at once.
        """
        self._process.terminate()

    def press(self, seconds_since_request: float) -> bool:
        """The ladder behind a cancellation that the process does not honour; call it at least every second.

        SIGTERM after 5 s, which stops a training whose look for the cancellation is at fault as `stop` does; again
        after 7.5 s, which ends any process that still runs Python; SIGKILL after 10 s. Each step is taken once per job.
        Take the seconds from a steady clock: one that is set back would hold up the ladder.

        Gives whether it had to press: then a JobProcessDiedError is the end of a job that was killed.
        """
        if seconds_since_request > KILL_AFTER_SECONDS:
            self._process.kill()
        elif sum(seconds_since_request > after for after in TERMINATE_AFTER_SECONDS) > self._pressed:
            self._pressed += 1
            self._process.terminate()
        return seconds_since_request > TERMINATE_AFTER_SECONDS[0]

    def kill(self) -> None:
        """Ends the process and waits until it is gone."""
        self._process.kill()
        self._process.wait()
        self.pipe.close()

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        if code == -9:
            return "the job process was killed, most often because the machine ran out of memory"
        return f"the job process ended by signal {-code}" if code < 0 else f"the job process ended with code {code}"
