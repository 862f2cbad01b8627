"""SIGTERM inside the job process: stop, and keep what you have. Imports the standard library only."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

#: A supervisor may signal a whole group of processes while the worker passes its own signal on: these are one.
SAME_SIGNAL_SECONDS = 1.0


class StopSignal:
    """The first SIGTERM sets a flag that the training sees at its next look; another one, later, ends the process."""

    def __init__(self) -> None:
        self.is_set = False
        self._set_at = 0.0
        signal.signal(signal.SIGTERM, self._receive)

    def clear(self) -> None:
        """The job that was to stop has ended."""
        self.is_set = False

    def _receive(self, _signal: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.is_set:
            self.is_set, self._set_at = True, now
        elif now - self._set_at > SAME_SIGNAL_SECONDS:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
