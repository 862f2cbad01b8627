"""Freeing a SQLite database from a process that was stopped in the middle of a write. Imports jobs and the system.

A process that SIGSTOP or Ctrl-Z catches inside a transaction keeps the write lock for as long as it stands still, and
nobody else can write: one frozen worker would hold up the whole service. The kernel tells who has the lock; to end that
process frees it, and undoes nothing but a transaction that was never acknowledged.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import struct
import sys
from pathlib import Path

from ktrdr.jobs.silence import Silence

logger = logging.getLogger(__name__)

#: A writer that stands still for so long is ended. Transactions take milliseconds.
PATIENCE_SECONDS = 5.0
#: The write lock's byte in the WAL index (https://sqlite.org/walformat.html#wal_locks).
_WRITE_LOCK = 120
#: `struct flock` of 64-bit Linux: type, whence, start, length, process.
_FLOCK = "hhqqi4x"


class StoppedWriters:
    """Watches one database, for as long as its process lives and has it open. Does nothing but on Linux."""

    def __init__(self, database: str | None) -> None:
        self._silence: Silence[int] = Silence(PATIENCE_SECONDS)
        self._index = -1
        if database is not None and sys.platform == "linux":
            # Never closed: closing any descriptor of a file takes all of this process's locks on it (fcntl(2)), and
            # those of SQLite are among them.
            self._index = os.open(f"{database}-shm", os.O_RDWR | os.O_CLOEXEC)

    def end_stopped(self, now: float) -> None:
        """Ends the process that has the write lock, if it has stood still for too long at `now` of a steady clock."""
        holder = self.holder()
        is_stopped = bool(holder) and _state(holder) == "T"
        for pid in self._silence.observe({holder: 0} if is_stopped else {}, now):
            logger.error("process %d was stopped in the middle of a write and holds up everyone else; ending it", pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError as error:
                logger.error("process %d cannot be ended: %s", pid, error.strerror)

    def holder(self) -> int:
        """The process that writes now; 0 if there is none, or none that this one may know of."""
        if self._index < 0:
            return 0
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _WRITE_LOCK, 1, 0)
        kind, *_, pid = struct.unpack(_FLOCK, fcntl.fcntl(self._index, fcntl.F_GETLK, asked))
        return 0 if kind == fcntl.F_UNLCK else int(pid)


def _state(pid: int) -> str:
    """The letter of proc(5): T for stopped (but t for one that a debugger holds)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
