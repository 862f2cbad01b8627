"""Waking other processes after a commit: a small file that every writer touches and everyone else watches.

Imports the standard library only. Where the kernel can watch files (Linux), a commit is noticed after 0.1 ms;
elsewhere, and if a notice were lost, the waiter looks again after its own short time. Watching the database's `-wal`
file instead would fire before the commit is visible.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import select
import sys
import time
from pathlib import Path

#: How soon a commit is noticed where the kernel cannot watch files.
POLL_SECONDS = 0.005

#: Bytes that a ring writes: a time, only to differ from the one before.
_WIDTH = 8
_IN_MODIFY = 0x2
_IN_NONBLOCK = os.O_NONBLOCK
_IN_CLOEXEC = 0o2000000


class Doorbell:
    """The writer's side: `ring` after each commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(self._file).st_size < _WIDTH:
            self.ring()  # takes the file's place on the disk, which may be full when it counts

    def ring(self) -> None:
        """Never fails: the commit is done, and a ring that a full disk swallows is one that waiters do without."""
        with contextlib.suppress(OSError):
            os.pwrite(self._file, time.monotonic_ns().to_bytes(_WIDTH, "little"), 0)

    def close(self) -> None:
        os.close(self._file)


class Glance:
    """For who is too busy to wait: tells for a tenth of a microsecond whether it has rung, by shared memory.

    A commit can be seen a moment before its ring, and a writer that is killed in between never rings: look at the log
    itself now and then all the same.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            if path.stat().st_size < _WIDTH:
                file.truncate(_WIDTH)
            self._page = mmap.mmap(file.fileno(), _WIDTH, access=mmap.ACCESS_READ)

    def __call__(self) -> bytes:
        """Another value after each ring."""
        return self._page[:]


class Watch:
    """The waiter's side: a descriptor that turns readable after a ring, where the kernel can watch files."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = _watch(path) if sys.platform == "linux" else -1

    def descriptors(self) -> list[int]:
        """What to wait on together with other descriptors: one, or none where the kernel cannot watch files."""
        return [self._file] if self._file >= 0 else []

    def clear(self) -> None:
        """Forgets the rings so far. Call it before looking at the log, never after."""
        if self._file >= 0:
            try:
                while os.read(self._file, 65536):
                    pass
            except BlockingIOError:
                pass

    def wait(self, seconds: float) -> None:
        """Returns after the next ring, or after `seconds` at the latest."""
        if self._file >= 0:
            select.select([self._file], [], [], seconds)
        else:
            time.sleep(min(seconds, POLL_SECONDS))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)


def _watch(path: Path) -> int:
    """An inotify descriptor for writes to one file (inotify(7)); -1 if the kernel gives none."""
    library = ctypes.CDLL(None)
    file = library.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
    if file >= 0 and library.inotify_add_watch(file, os.fsencode(path), _IN_MODIFY) < 0:
        os.close(file)
        return -1
    return int(file)
