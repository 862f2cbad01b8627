"""Disks that a test can fill: a small file system of its own where the kernel lets us, else a limit on files' sizes.

A file system needs user namespaces (unshare(1)); a limit (setrlimit(2), RLIMIT_FSIZE) works on every Linux, and Python
sees its EFBIG where it would see ENOSPC.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from processes import children

SIZE = "96m"
_NO_LIMIT = resource.RLIM_INFINITY


class SmallDisk(Protocol):
    #: What a command that uses the disk has to begin with.
    prefix: list[str]
    #: The disk as these commands see it.
    folder: Path

    def view(self, path: Path) -> Path:
        """A path on the disk as this process sees it."""

    def fill(self, *pids: int) -> None:
        """Lets these processes and those that they started write nothing more that needs room."""

    def free(self, *pids: int) -> None:
        """Lets them write again."""


class FileSystem:
    """A file system of a few megabytes, in a mount namespace that `holder` keeps."""

    def __init__(self, folder: Path, holder: subprocess.Popen[str]) -> None:
        self.folder = folder
        self.prefix = [
            *("nsenter", f"--target={holder.pid}", "--user", "--mount", "--preserve-credentials"),
            f"--wd={Path.cwd()}",
        ]
        self._root = Path(f"/proc/{holder.pid}/root")
        self._filler = self.view(folder / "filler")

    def view(self, path: Path) -> Path:
        return self._root / path.relative_to("/")

    def fill(self, *pids: int) -> None:
        with self._filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        with self._filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(512))

    def free(self, *pids: int) -> None:
        self._filler.unlink()


class SizeLimit:
    """No file may grow beyond what the write-ahead log has now."""

    prefix: list[str] = []  # noqa: RUF012

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def view(self, path: Path) -> Path:
        return path

    def fill(self, *pids: int) -> None:
        log = next(self.folder.rglob("ktrdr.db-wal"))
        limit_files(log.stat().st_size, *pids)

    def free(self, *pids: int) -> None:
        limit_files(_NO_LIMIT, *pids)


def limit_files(size: int, *pids: int) -> None:
    """Lets processes and those that they started write no file beyond `size` bytes."""
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, _NO_LIMIT))
        limit_files(size, *children(pid))


def unlimit_files(*pids: int) -> None:
    limit_files(_NO_LIMIT, *pids)


@contextmanager
def file_system(folder: Path) -> Iterator[SmallDisk | None]:
    """A small file system at `folder`; None where the kernel gives us none."""
    mount = f'mount -t tmpfs -o size={SIZE} tmpfs "$0" && echo ready && exec cat'
    try:
        holder = subprocess.Popen(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except FileNotFoundError:
        yield None
        return
    with holder:
        assert holder.stdout
        is_ready = holder.stdout.readline() == "ready\n"
        yield FileSystem(folder, holder) if is_ready else None
        # The pipe closes here, which ends the holder, and with it the namespace.
