"""This machine: what is installed, the home folder and its disk, what the kernel allows. Imports ktrdr.disk."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ktrdr import __version__
from ktrdr.cli.diagnosis.findings import Finding, fail, ok, warn
from ktrdr.disk import network_file_system

OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES, FEW_FREE_BYTES = 50_000_000, 1_000_000_000
#: A file that is being written is younger than this.
_LEFT_OVER_SECONDS = 3600.0
#: Every API, worker and scheduler takes an inotify instance, as desktops and editors do.
_FEW_INSTANCES = 16


def installation() -> Iterator[Finding]:
    """Versions, and which parts can run here."""
    running = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        yield fail("python", f"{running} is too old", "install Python 3.11 or newer")
    else:
        yield ok("python", f"{running} in {sys.prefix}")
    parts = [name for name, library in (("host worker", "torch"), ("service", "starlette")) if _version(library)]
    yield ok("ktrdr", f"{__version__}: client{''.join(f', {part}' for part in parts)}")
    yield from _torch()
    yield from _sqlite()


def _torch() -> Iterator[Finding]:
    installed = _version("torch")
    if installed is None:
        yield ok("torch", "not installed: this machine cannot train (pip install 'ktrdr[host]' changes that)")
        return
    wanted = next((found[1] for one in _requirements() if (found := re.match(r"torch==([\w.]+)", one))), None)
    if wanted is not None and installed.partition("+")[0] != wanted:
        fix = f"pip install torch=={wanted}; another version gives other bits"
        yield warn("torch", f"{installed}, not {wanted}", fix)
    else:
        yield ok("torch", installed)


def _sqlite() -> Iterator[Finding]:
    if _version("pysqlite3") is None:
        yield ok("sqlite", "not needed: no service is installed here (pip install 'ktrdr[service]' changes that)")
        return
    import pysqlite3

    from ktrdr.store.database import FIRST_SAFE_SQLITE

    first = ".".join(map(str, FIRST_SAFE_SQLITE))
    if pysqlite3.sqlite_version_info < FIRST_SAFE_SQLITE:
        found = f"{pysqlite3.sqlite_version} can corrupt a database in WAL mode; {first} is the first that cannot"
        yield fail("sqlite", found, "pip install --upgrade 'pysqlite3>=0.6.1'")
    else:
        yield ok("sqlite", f"{pysqlite3.sqlite_version}, and {first} or newer is safe")


def home_folder(home: Path) -> Iterator[Finding]:
    """Whether it can be written, on which kind of file system, with how much room, and what was left over there."""
    existing = home
    while not existing.exists():
        existing = existing.parent
    if found := network_file_system(existing):
        kind, point = found
        yield fail("file system", f"{home} lies on {kind} (mounted at {point}), where SQLite loses data",
                   "put KTRDR_HOME on a local disk")  # fmt: skip
    else:
        yield ok("file system", f"{existing} is local")
    free = shutil.disk_usage(existing).free
    room = f"{free / 1e9:.1f} GB are free in {existing}"
    if free < LEAST_FREE_BYTES:
        yield fail("disk", f"only {free:,} bytes are free in {existing}", "free some space; no job is accepted now")
    elif free < FEW_FREE_BYTES:
        yield warn("disk", room, "free some space, or prune old progress: ktrdr audit prune")
    else:
        yield ok("disk", room)
    if existing != home:
        yield from _can_be_made(home, existing)
        return
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        yield fail("home", f"{home} cannot be written: {error.strerror}",
                   "choose another with KTRDR_HOME, or give it to this user")  # fmt: skip
        return
    yield ok("home", f"{home} can be written")
    yield from _left_over(home)


def _can_be_made(home: Path, existing: Path) -> Iterator[Finding]:
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        yield ok("home", f"{home} is not there yet; the first ktrdr up makes it")
    else:
        yield fail("home", f"{home} cannot be made: {existing} cannot be written", "choose another with KTRDR_HOME")


def _left_over(home: Path) -> Iterator[Finding]:
    """What an interrupted write leaves has a hidden name; nothing refers to it."""
    old = time.time() - _LEFT_OVER_SECONDS
    found = []
    for folder in ("prices", "models", "checkpoints", "uploads"):
        if (home / folder).is_dir():
            hidden = (one for one in (home / folder).iterdir() if one.name.startswith("."))
            found += [one for one in hidden if one.stat().st_mtime < old]
    if found:
        shown = ", ".join(str(one.relative_to(home)) for one in found[:3]) + (", …" if len(found) > 3 else "")
        yield warn("leftovers", f"{len(found)} unfinished files in {home}: {shown}", "delete them; nothing needs them")
    else:
        yield ok("leftovers", "no unfinished files")


def kernel() -> Iterator[Finding]:
    """The steady clock, and whether one more process can watch a file."""
    steady = time.get_clock_info("monotonic")
    if steady.adjustable or not steady.monotonic:
        yield fail("steady clock", f"{steady.implementation} can be set", "run ktrdr on a system with a steady clock")
    else:
        yield ok("steady clock", steady.implementation)
    if sys.platform != "linux":
        yield ok("inotify", "not there on this system: commits are noticed after 5 ms rather than 0.1 ms")
        return
    library = ctypes.CDLL(None, use_errno=True)
    opened = library.inotify_init1(os.O_CLOEXEC)
    most = _limit("max_user_instances")
    if opened < 0:
        why = os.strerror(ctypes.get_errno())
        yield warn("inotify", f"no more watchers: {why} (at most {most})",
                   "sysctl fs.inotify.max_user_instances=512; until then commits are noticed after 5 ms")  # fmt: skip
        return
    os.close(opened)
    if most is not None and most < _FEW_INSTANCES:
        yield warn("inotify", f"at most {most} watchers for this user", "sysctl fs.inotify.max_user_instances=512")
    else:
        yield ok("inotify", f"can watch (at most {most} watchers for this user)")


def _limit(name: str) -> int | None:
    try:
        return int(Path(f"/proc/sys/fs/inotify/{name}").read_text())
    except (OSError, ValueError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _requirements() -> list[str]:
    try:
        return requires("ktrdr") or []
    except PackageNotFoundError:
        return []
