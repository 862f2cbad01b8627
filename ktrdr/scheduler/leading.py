"""One scheduler among several processes at a time. Imports the standard library and `ktrdr.jobs.silence`.

The one that has the lock of a file leads. The lock ends with its process, and a second later another one has it. A
process that was stopped keeps its lock and does nothing: so a leader counts up in the file, and while that stands still
the others lead all the same. Nothing that must hold rests on this: whatever a scheduler does is decided once more in
its transaction, so that two leaders at once do no harm. It spares them doing the same work.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from pathlib import Path

from ktrdr.jobs.silence import Silence

logger = logging.getLogger(__name__)

#: A leader that has not counted for so long does not lead.
PATIENCE_SECONDS = 5.0
_WIDTH = 8


class Leadership:
    """Whether this process leads; `observe` finds it out and has to be called every second."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._silence: Silence[str] = Silence(PATIENCE_SECONDS)
        self._has_lock = False
        self._beats = 0
        self.leads = False

    def observe(self, now: float) -> None:
        """Looks once more, at `now` seconds of a steady clock."""
        led, self.leads = self.leads, self._has_turn(now)
        if self.leads and not led:
            logger.info("this scheduler leads%s", "" if self._has_lock else ": the one before stands still")
        elif led and not self.leads:
            logger.info("another scheduler leads")

    def _has_turn(self, now: float) -> bool:
        self._has_lock = self._has_lock or self._lock()
        if not self._has_lock:
            return bool(self._silence.observe({"leader": self._heard()}, now))
        self._beats += 1
        with contextlib.suppress(OSError):  # a full disk: then the others do the work too
            os.pwrite(self._file, self._beats.to_bytes(_WIDTH, "little"), 0)
        return True

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        self._beats = self._heard()
        return True

    def _heard(self) -> int:
        return int.from_bytes(os.pread(self._file, _WIDTH, 0), "little")

    def close(self) -> None:
        os.close(self._file)
