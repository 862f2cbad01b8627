"""Opening the database as the store needs it. Imports sqlalchemy and the SQLite driver.

SQLite runs in WAL mode with `synchronous=FULL`: what was acknowledged survives power loss. The driver brings its own
SQLite, because 3.7.0 to 3.51.2 can corrupt a WAL database that has two connections
(https://sqlite.org/wal.html#walresetbug), and the interpreter's own is usually one of those.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pysqlite3
from sqlalchemy import URL, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from ktrdr.disk import network_file_system, require_folder, trouble_at

FIRST_SAFE_SQLITE = (3, 51, 3)
#: How long a writer waits for its turn before it gives up: far beyond what a few writers can cause.
WRITE_TURN_SECONDS = 20.0
#: A commit after which the write-ahead log has as many pages moves them into the database file. 16 MiB: a checkpoint is
#: paid by the commit that sets it off, and most pages of the next one are the same again.
AUTOCHECKPOINT_PAGES = 4000
_GIVE_A_FILE = "give a file, as in sqlite:////var/lib/ktrdr/ktrdr.db"


#: What SQLite says when the disk does not take a write.
_DISK_ERRORS = {
    pysqlite3.SQLITE_FULL, pysqlite3.SQLITE_IOERR, pysqlite3.SQLITE_READONLY, pysqlite3.SQLITE_CANTOPEN,
}  # fmt: skip


class DatabaseUnsuitableError(Exception):
    """The database cannot be used safely; the message says why and what to do."""


class NotWrittenError(Exception):
    """Nothing was written, for a reason that passes: the same write may succeed later."""


class DatabaseBusyError(NotWrittenError):
    """Another process holds the database for longer than any transaction of ours takes."""


class DatabaseUnwritableError(NotWrittenError):
    """The disk takes nothing more: it is full, read-only, or has a quota or a limit. `fix` says what helps."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.fix = fix


def open_engine(url: str | URL) -> Engine:
    """An engine for the database at `url`, every connection configured, each one a fresh one.

    Raises DatabaseUnsuitableError for a SQLite that can corrupt data, a network file system or an unknown database, and
    FolderUnusableError if its folder cannot be written.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseUnsuitableError(f"the database has no URL that can be read; {_GIVE_A_FILE}") from None
    file_name = parsed.database if parsed.get_backend_name() == "sqlite" else None
    if not file_name or file_name == ":memory:" or file_name.startswith("file:"):
        raise DatabaseUnsuitableError(
            f"the database {parsed.render_as_string(hide_password=True)!r} is not supported; {_GIVE_A_FILE}"
        )
    if pysqlite3.sqlite_version_info < FIRST_SAFE_SQLITE:
        raise DatabaseUnsuitableError(
            f"SQLite {pysqlite3.sqlite_version} can corrupt a database in WAL mode; install pysqlite3 >= 0.6.1"
        )
    file = Path(file_name).absolute()
    _refuse_network_file_system(file)
    require_folder(file.parent, choose="choose another with KTRDR_HOME or KTRDR_DATABASE_URL")
    engine = create_engine(
        parsed,
        module=pysqlite3.dbapi2,
        poolclass=NullPool,
        # The transactions are ours: the driver's implicit ones begin as readers and fail when they turn writers.
        connect_args={"isolation_level": None, "check_same_thread": False, "timeout": 0},
    )
    event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # Turning WAL on needs a moment alone; processes that start together wait for each other here.
    cursor.execute("PRAGMA busy_timeout=15000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA journal_size_limit=67108864")
    cursor.execute(f"PRAGMA wal_autocheckpoint={AUTOCHECKPOINT_PAGES}")
    cursor.execute("PRAGMA busy_timeout=0")
    cursor.close()


def unwritable(error: Exception, engine: Engine) -> DatabaseUnwritableError | None:
    """What an error of SQLite, bare or as SQLAlchemy gives it, says of the disk; None if it is about something else."""
    bare = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(bare, "sqlite_errorcode", pysqlite3.SQLITE_OK) & 0xFF
    if code not in _DISK_ERRORS:
        return None
    # SQLite knows an exceeded quota or limit of size as an I/O error only.
    folder = Path(str(engine.url.database)).absolute().parent
    trouble = trouble_at(folder, str(bare), is_full=code == pysqlite3.SQLITE_FULL)
    return DatabaseUnwritableError(f"the database cannot be written: {trouble.detail}", trouble.fix)


def try_begin_write(cursor: Any) -> bool:
    """Begins a write transaction, if no other connection is writing now."""
    try:
        cursor.execute("BEGIN IMMEDIATE")
    except pysqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != pysqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def turn_pauses() -> Iterator[float]:
    """Short random pauses, in seconds, for the time between two attempts to write.

    SQLite's own busy wait is unfair: of four writers it let one starve for over a second. Raises DatabaseBusyError once
    `WRITE_TURN_SECONDS` have passed.
    """
    deadline = time.monotonic() + WRITE_TURN_SECONDS
    longest = 0.0005
    while time.monotonic() < deadline:
        yield random.uniform(0.0001, longest)
        longest = min(longest * 2, 0.008)
    raise DatabaseBusyError(f"another process has not let go of the database for {WRITE_TURN_SECONDS:g} s")


def begin_write(cursor: Any) -> None:
    """Begins a write transaction, waiting for its turn. Raises DatabaseBusyError."""
    pauses = turn_pauses()
    while not try_begin_write(cursor):
        time.sleep(next(pauses))


def _refuse_network_file_system(file: Path) -> None:
    """WAL needs shared memory, which network file systems only pretend to have."""
    if found := network_file_system(file.parent):
        kind, point = found
        raise DatabaseUnsuitableError(
            f"{file} lies on {kind} (mounted at {point}), where SQLite loses data; put KTRDR_HOME on a local disk"
        )
