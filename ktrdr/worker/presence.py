"""A worker says that it lives: every few seconds, and at once whenever its state changes. Imports jobs only.

From a thread of its own, so that no training silences it. How a beat travels is the caller's.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from queue import Empty, SimpleQueue

from ktrdr import __version__
from ktrdr.jobs.events import Json
from ktrdr.jobs.workers import Beat, WorkerState

logger = logging.getLogger(__name__)

#: Until the first beat that gets through.
FIRST_SECONDS = 5.0
_ORDER = list(WorkerState)


def first_beat(kind: str, slots: int) -> Beat:
    """What this process says of itself before its job processes are warm."""
    host, pid = socket.gethostname(), os.getpid()
    return Beat(
        name=f"{host}-{pid}",
        kind=kind,
        state=WorkerState.STARTING,
        host=host,
        pid=pid,
        version=__version__,
        slots=slots,
        capabilities={},
    )


class Presence:
    """The beats of one worker process, from `start` until `end`."""

    def __init__(self, said: Beat, tell: Callable[[Beat], float]) -> None:
        """`tell` brings a beat to the service, and gives the seconds until the next one is due."""
        self._said = said
        self._tell_of = tell
        self._every_seconds = FIRST_SECONDS
        #: By the steady clock: slots may say that they are ready all the time, and must not put the beat off by that.
        self._due_at = 0.0
        #: New states, each with the capabilities if they are known now. A signal handler may put one there too.
        self._changes: SimpleQueue[tuple[WorkerState, Json | None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def change(self, state: WorkerState, capabilities: Json | None = None) -> None:
        """Tells a new state at once; one that the worker has left behind already is not gone back to."""
        self._changes.put((state, capabilities))

    def end(self, patience_seconds: float | None = None) -> None:
        """Says goodbye, and waits until that is told or has failed, or for so long."""
        self.change(WorkerState.STOPPED)
        self._thread.join(patience_seconds)

    def _run(self) -> None:
        self._tell()
        while self._said.state is not WorkerState.STOPPED:
            try:
                state, capabilities = self._changes.get(timeout=max(0.0, self._due_at - time.monotonic()))
            except Empty:
                self._tell()
                continue
            before = self._said
            if _ORDER.index(state) > _ORDER.index(before.state):
                self._said = replace(self._said, state=state)
            if capabilities is not None:
                self._said = replace(self._said, capabilities=capabilities)
            if self._said != before:
                self._tell()

    def _tell(self) -> None:
        try:
            self._every_seconds = self._tell_of(self._said)
        except Exception as error:  # whatever it is, the next beat may get through
            logger.warning("the worker could not say that it is %s: %s", self._said.state, error)
        self._due_at = time.monotonic() + self._every_seconds
