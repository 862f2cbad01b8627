"""Content-addressed files: prices and checkpoints under the SHA-256 of their bytes, models under that of their sums.

Imports the standard library only. A file appears under its name whole and synced, or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Prices:
    """The price data of jobs and datasets: one file per digest, kept for as long as anything names it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Where the data with this digest lies, if it is here."""
        return self._folder / f"{checked_digest(digest)}.npy"

    def add(self, data: bytes) -> str:
        """Stores data and returns its digest."""
        digest = sha256(data).hexdigest()
        target = self.path(digest)
        if not target.exists():
            write_whole(target, data)
        return digest


class Checkpoints:
    """The checkpoints of jobs: one file per digest, for as long as a job may need it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the checkpoint with this digest lies, if it is here."""
        return self.folder / f"{checked_digest(digest)}.safetensors"

    def adopt(self, file: Path, digest: str) -> None:
        """Moves a complete, synced file of the same file system to the place of its digest."""
        file.replace(self.path(digest))
        sync_folder(self.folder)


class Models:
    """The saved models: one folder per digest."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Where the model with this digest lies, if it is here."""
        return self._folder / checked_digest(digest)

    def adopt(self, folder: Path, digest: str) -> None:
        """Moves a complete, synced model folder of the same file system to the place of its digest."""
        target = self.path(digest)
        if target.exists():
            shutil.rmtree(folder)  # an equal model is there already
        else:
            folder.rename(target)
            sync_folder(self._folder)


def checked_digest(digest: str) -> str:
    """The digest, if it is one: it becomes part of a path. Raises ValueError."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest[:80]!r} is not a SHA-256 digest")
    return digest


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, read piece by piece. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(target: Path, data: bytes) -> None:
    """Writes a file that appears under its name whole and synced, or not at all. Raises OSError."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)  # half a file takes room where there is none
            raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names inside a folder survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
