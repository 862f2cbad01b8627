"""Files by digest on this machine: fetched once, checked before each use, dropped when space is needed.

Imports the standard library and the connection. An attempt gets hard links in a folder of its own: what it uses stays
although the cache drops it, and the cache sees by the number of links what is in use, whichever process uses it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from io import BufferedRandom, BufferedReader
from pathlib import Path

from host_worker.connection import Connection, GivenUp, GivenUpError, NoAnswerError, Pauses, RefusedError

logger = logging.getLogger(__name__)

#: Appends what is missing of something to a file.
Fetch = Callable[[BufferedRandom], None]

_PART = ".part"
_LOOK_SECONDS = 0.1


class Cache:
    """A folder of files that never change. Several threads and processes may use it at once."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._limit_bytes = limit_bytes

    def link(self, name: str, digest: str, into: Path, fetch: Fetch, given_up: GivenUp) -> None:
        """Puts the file of a digest into a folder under a name; `fetch` appends what is missing of it to a file.

        Raises RefusedError if what is fetched is not what was named, what `fetch` raises, and GivenUpError.
        """
        into.mkdir(parents=True, exist_ok=True)
        kept, target = self._folder / name, into / name
        while not self._link_if_right(kept, target, digest):
            with self._locked(self._folder / f"{name}{_PART}", given_up) as part:
                if kept.exists():
                    continue  # someone else has fetched it meanwhile
                fetch(part)
                if _digest(part) != digest:
                    # What was here from before may have been damaged; what is fetched from the start is the truth.
                    part.truncate(0)
                    fetch(part)
                    if (found := _digest(part)) != digest:
                        part.truncate(0)
                        raise RefusedError(f"the data sent as {digest} has the digest {found}", name="damaged-data")
                os.fsync(part.fileno())
                Path(part.name).replace(kept)
        self._make_room()

    def _link_if_right(self, kept: Path, target: Path, digest: str) -> bool:
        target.unlink(missing_ok=True)
        try:
            _link(kept, target)
        except FileNotFoundError:
            return False
        with target.open("rb") as file:
            found = _digest(file)
        if found == digest:
            os.utime(kept)
            return True
        logger.warning("%s in the cache is damaged (its digest is %s); fetching it again", kept.name, found)
        target.unlink()
        kept.unlink(missing_ok=True)
        return False

    @contextmanager
    def _locked(self, part: Path, given_up: GivenUp) -> Iterator[BufferedRandom]:
        """The unfinished file, which nobody else writes to meanwhile."""
        while True:
            with part.open("a+b") as file:
                if _try_lock(file):
                    if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                        yield file
                        return
                    continue  # finished and renamed by whoever had it
            if given_up():
                raise GivenUpError(f"the download of {part.name}")
            time.sleep(_LOOK_SECONDS)

    def _make_room(self) -> None:
        """Drops what was used longest ago and is not in use, until the rest is below the limit."""
        files = []
        for path in self._folder.iterdir():
            try:
                files.append((path.stat(), path))
            except FileNotFoundError:
                continue  # another process made room
        total = sum(status.st_size for status, _ in files)
        for status, path in sorted(files, key=lambda file: file[0].st_mtime_ns):
            if total <= self._limit_bytes:
                return
            if status.st_nlink == 1 and not _is_being_written(path):
                path.unlink(missing_ok=True)
                total -= status.st_size


def fetch_from(connection: Connection, path: str, given_up: GivenUp) -> Fetch:
    """A way to append the rest of the service's file at `path` to a file, going on where a broken connection ended."""

    def fetch(file: BufferedRandom) -> None:
        pauses = Pauses(given_up)
        while True:
            offset = file.seek(0, os.SEEK_END)
            try:
                with connection.download(path, offset) as (begins_at, pieces):
                    if begins_at != offset:
                        file.truncate(begins_at)
                        file.seek(begins_at)
                    for piece in pieces:
                        file.write(piece)
                        pauses.restart()
                        if given_up():
                            raise GivenUpError(f"the download of {path}")
            except NoAnswerError as error:
                pauses.pause(error)
            else:
                file.flush()
                return

    return fetch


def _link(kept: Path, target: Path) -> None:
    try:
        os.link(kept, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(kept, target)


def _digest(file: BufferedReader | BufferedRandom) -> str:
    file.seek(0)
    return file_digest(file, "sha256").hexdigest()


def _try_lock(file: BufferedReader | BufferedRandom) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_being_written(path: Path) -> bool:
    if path.suffix != _PART:
        return False
    try:
        with path.open("rb") as file:
            return not _try_lock(file)
    except FileNotFoundError:
        return True
