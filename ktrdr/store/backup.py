"""A copy of a whole installation, made while it is used. Imports sqlalchemy and the store's own parts.

The database is copied first, as of one moment and without holding anyone up; then the files that it names. Those are
content-addressed: what a copy has already is not copied again, and what is written meanwhile does no harm.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pysqlite3

from ktrdr.files import sync_folder
from ktrdr.store import Store

DATABASE = "ktrdr.db"
#: What a file's name says about its content stands for it: equal names are equal files.
_ADDRESSED = ("prices", "models", "checkpoints")
#: Small, and not named by their content: copied anew each time.
_PLAIN = ("audit", "archive")


class BackupError(Exception):
    """The copy cannot be made there; the message says why and what would do."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a copy holds."""

    #: The newest event in it.
    position: int
    database_bytes: int
    #: Files that it did not have before, and their bytes.
    new_files: int
    new_bytes: int


def back_up(store: Store, target: Path, progress: Callable[[int], None] = lambda _: None) -> BackedUp:
    """Makes `target` a copy of the installation, or brings an older copy of it up to date.

    A copy is an installation itself: with its folder as KTRDR_HOME, everything works on it. An interrupted copy leaves
    the older one usable. `progress` is called with the number of files copied so far. Raises BackupError, OSError and
    the driver's errors.
    """
    source = store.engine.url.database
    if store.engine.dialect.name != "sqlite" or source is None:
        raise BackupError("only an SQLite installation can be copied this way; a server has its own tools (pg_dump)")
    if target.resolve().is_relative_to(store.home.resolve()) or store.home.resolve().is_relative_to(target.resolve()):
        raise BackupError(f"{target} and the installation {store.home} lie in each other; choose a folder elsewhere")
    _require_own(target, _origin(Path(source)))
    target.mkdir(parents=True, exist_ok=True)
    position, database_bytes = _copy_database(Path(source), target / DATABASE)
    copied = new_bytes = 0
    for source_file, target_file in _missing_files(store.home, target):
        new_bytes += _copy_file(source_file, target_file)
        copied += 1
        progress(copied)
    return BackedUp(position, database_bytes, copied, new_bytes)


def _origin(database: Path) -> str:
    with closing(pysqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return str(connection.execute("SELECT origin FROM tree").fetchone()[0])


def _require_own(target: Path, origin: str) -> None:
    """Raises BackupError for a folder that holds something else than a copy of this log."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / DATABASE).is_file():
        raise BackupError(f"{target} holds something that is no copy of an installation; choose an empty folder")
    try:
        known = _origin(target / DATABASE)
    except pysqlite3.Error as error:
        raise BackupError(f"the database in {target} cannot be read ({error}); choose an empty folder") from None
    if known != origin:
        raise BackupError(f"{target} holds a copy of another log ({known}); choose an empty folder")


def _copy_database(source: Path, target: Path) -> tuple[int, int]:
    """The newest position in the copy, and its bytes. It appears under its name whole and synced, or not at all."""
    unfinished = target.with_name(f".{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with closing(pysqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(unfinished),))  # as of one moment; writers go on
    with closing(pysqlite3.connect(unfinished)) as connection:
        position = int(connection.execute("SELECT size FROM tree").fetchone()[0])
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
        database_bytes = os.fstat(file.fileno()).st_size
    for left in ("-wal", "-shm"):  # of the older copy, if someone has used it: they do not belong to this one
        target.with_name(target.name + left).unlink(missing_ok=True)
    unfinished.replace(target)
    sync_folder(target.parent)
    return position, database_bytes


def _missing_files(home: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    for folder in (*_ADDRESSED, *_PLAIN):
        for file in sorted((home / folder).rglob("*")):
            is_unfinished = any(part.startswith(".") for part in file.relative_to(home).parts)
            there = target / file.relative_to(home)
            if file.is_file() and not is_unfinished and not (folder in _ADDRESSED and there.exists()):
                yield file, there


def _copy_file(source: Path, target: Path) -> int:
    """The bytes copied; none of a file that was removed meanwhile, such as a checkpoint that nobody needs any more."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        shutil.copy2(source, unfinished)  # the mode too: the signing key is for its owner alone
    except FileNotFoundError:
        return 0
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    unfinished.replace(target)
    sync_folder(target.parent)
    return size
