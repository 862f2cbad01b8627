"""The end of a host worker, in steps: no new jobs, then everything delivered that can be, then out.

Imports the standard library only.
"""

from __future__ import annotations

import threading
import time

#: After so long what is still on its way is left behind, and the job given back.
DELIVER_SECONDS = 8.0
#: After so long nothing is said any more.
SAY_SECONDS = 9.5
#: After so long the process has ended.
END_SECONDS = 9.8


class Stopping:
    """Whether the worker was told to stop, and how long ago."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._begun_at = 0.0

    def begin(self) -> None:
        if not self.event.is_set():
            self._begun_at = time.monotonic()
            self.event.set()

    @property
    def is_set(self) -> bool:
        return self.event.is_set()

    def lasts_for(self, seconds: float) -> bool:
        """Whether it began so long ago."""
        return self.event.is_set() and time.monotonic() - self._begun_at > seconds
