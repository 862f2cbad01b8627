"""When a disk takes nothing more: which errors mean that, and what to tell people.

Imports the standard library only.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

_FULL = {errno.ENOSPC}
_REFUSES = {errno.EDQUOT, errno.EFBIG, errno.EROFS}
_NETWORK_FILE_SYSTEMS = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "davfs", "glusterfs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.davfs2", "fuse.rclone", "fuse.s3fs",
}  # fmt: skip


class FolderUnusableError(OSError):
    """A folder cannot hold what it is meant for; the message is one sentence that says why and what to do."""


@dataclass(frozen=True, slots=True)
class DiskTrouble:
    """Why something could not be written, and what helps."""

    detail: str
    fix: str


def trouble_of(error: OSError, folder: Path) -> DiskTrouble | None:
    """What a failed write into `folder` means; None if the error is about something else than the disk."""
    if error.errno not in _FULL | _REFUSES:
        return None
    return trouble_at(folder, os.strerror(error.errno), is_full=error.errno in _FULL)


def trouble_at(folder: Path, reason: str, *, is_full: bool) -> DiskTrouble:
    """What it means that `folder`, or the nearest folder above that exists, takes nothing for that reason."""
    while not folder.is_dir():
        folder = folder.parent
    mounted = folder.resolve()
    while not mounted.is_mount():
        mounted = mounted.parent
    free = f"{shutil.disk_usage(folder).free:,} bytes are free"
    if is_full:
        return DiskTrouble(
            f"the file system of {folder} (mounted at {mounted}) is full: {free}",
            f"free some space below {mounted}",
        )
    return DiskTrouble(
        f"{folder} takes nothing more ({reason}), although {free} on its file system (mounted at {mounted})",
        "look for a quota, a limit on the size of files (ulimit -f) or a read-only mount",
    )


def require_folder(folder: Path, *, choose: str) -> None:
    """Makes a folder and proves that files can be written there.

    Raises FolderUnusableError; `choose` says how to name another one, for its message.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FolderUnusableError(f"{folder} cannot be used: {_why(folder, error)}; {choose}") from None


def network_file_system(folder: Path) -> tuple[str, str] | None:
    """The kind of the network file system that a folder lies on, and where it is mounted; None for a local one."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return None  # not Linux, so there is nothing to read the kind from
    real = os.path.realpath(folder)
    best = ("", "")
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace("\\040", " ")
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best[0]):
            best = (point, after.split()[0])
    return (best[1], best[0]) if best[1] in _NETWORK_FILE_SYSTEMS else None


def _why(folder: Path, error: OSError) -> str:
    file = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
    if file is not None:
        return f"{file} is a file, not a folder"
    trouble = trouble_of(error, folder)
    if trouble is not None and error.errno in _FULL:
        return trouble.detail
    return f"files cannot be written there ({os.strerror(error.errno or errno.EIO)})"
