"""The host worker's heartbeat: tells the service that it lives, and as what. Imports the connection."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

from host_worker.connection import Connection, GivenUpError, LeaseLostError, RefusedError
from host_worker.stopping import Stopping
from ktrdr import __version__
from ktrdr.jobs.workers import WorkerState
from ktrdr.worker.messages import Ready

logger = logging.getLogger(__name__)

#: Until the service says how long it waits before it takes a worker for lost.
BEAT_SECONDS = 5.0
#: A farewell that gets no answer is left unsaid.
FAREWELL_SECONDS = 1.0


class Heart:
    """Beats in a thread of its own, and at once when something changes."""

    def __init__(self, connection: Connection, name: str, slots: int, stopping: Stopping) -> None:
        self._connection = connection
        self._name = name
        self._slots = slots
        self._stopping = stopping
        self._state = WorkerState.STARTING
        self._capabilities: dict[str, Any] = {}
        self._seconds = BEAT_SECONDS
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._beat_for_ever, daemon=True)

    def start(self) -> None:
        """The first beat, and then the others. Raises RefusedError if the service does not want this worker."""
        self._beat()
        self._thread.start()

    def ready(self, ready: Ready) -> None:
        """A job process is warm: from now on the worker takes jobs."""
        if self._state is WorkerState.STARTING:
            self._capabilities = dict(ready.capabilities)
            self._state = WorkerState.ALIVE
            self._changed.set()

    def drain(self) -> None:
        """The worker takes no more jobs: the service then ends the claims that wait."""
        self._state = WorkerState.DRAINING
        self._changed.set()

    def stop(self) -> None:
        """The last beat."""
        self._state = WorkerState.STOPPED
        self._changed.set()
        self._thread.join(FAREWELL_SECONDS)

    def _beat_for_ever(self) -> None:
        is_last = False
        while not is_last:
            self._changed.wait(self._seconds)
            self._changed.clear()
            is_last = self._state is WorkerState.STOPPED
            try:
                self._beat()
            except (RefusedError, LeaseLostError) as error:
                logger.error("the service does not take this worker's heartbeat: %s", error)
            except GivenUpError as error:
                logger.warning("left without a word: %s", error)

    def _beat(self) -> None:
        answer = self._connection.request(
            "PUT",
            f"/workers/{self._name}",
            json={
                "state": self._state,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "version": __version__,
                "slots": self._slots,
                "capabilities": self._capabilities,
            },
            given_up=lambda: self._stopping.lasts_for(FAREWELL_SECONDS),
            longest_pause=self._seconds,
        )
        if answer.content:
            self._seconds = float(answer.json().get("lease_seconds", 3 * BEAT_SECONDS)) / 3
