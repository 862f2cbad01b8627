"""The database of this machine's installation, looked at without its service. Imports the store when there is one.

Nothing is changed: the database is neither made nor migrated, and the write lock is given back at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ktrdr.cli.diagnosis.findings import Finding, fail, ok, warn
from ktrdr.settings import Settings

#: Longer than any transaction of ours takes.
_LOCK_SECONDS = 1.0
#: A large database is looked at for so long, not to its end.
_CHECK_SECONDS = 5.0
#: Of the file that SQLite keeps (`journal_size_limit`), and when it is more than a busy moment explains.
_LARGE_WAL_BYTES = 256_000_000
#: How far the newest event may be in the future before it is no rounding.
_FUTURE_SECONDS = 2.0


def database(settings: Settings) -> Iterator[Finding]:
    """Its integrity, its schema, its write-ahead log, its lock, and the time of its newest event."""
    if find_spec("pysqlite3") is None or find_spec("sqlalchemy") is None:
        yield ok("database", "not looked at: no service is installed here")
        return
    import pysqlite3
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        named = make_url(settings.database_url).database if settings.database_url else settings.home / "ktrdr.db"
    except ArgumentError:
        yield fail("database", "KTRDR_DATABASE_URL cannot be read", "give a file: sqlite:////var/lib/ktrdr/ktrdr.db")
        return
    file = Path(named or "")
    if not file.is_file():
        yield ok("database", f"there is none at {file} yet; the first ktrdr up makes it")
        return
    try:
        with closing(pysqlite3.connect(str(file), timeout=0, isolation_level=None)) as connection:
            cursor = connection.cursor()
            cursor.execute("PRAGMA busy_timeout=1000")
            yield from _integrity(connection, file)
            yield from _schema(cursor, file)
            yield from _clock(cursor)
            is_free = _lock_can_be_had(cursor)
    except pysqlite3.DatabaseError as error:
        yield fail("database", f"{file} cannot be read: {error}", "restore the newest copy of it")
        return
    yield from _wal(file)
    yield ok("lock", "the write lock can be had") if is_free else _held(file)


def _integrity(connection: Any, file: Path) -> Iterator[Finding]:
    import pysqlite3

    deadline = time.monotonic() + _CHECK_SECONDS
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)
    size = f"{file.stat().st_size / 1e6:,.1f} MB"
    try:
        said = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    except pysqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        yield ok("database", f"{file}, {size}: nothing wrong in the first {_CHECK_SECONDS:g} s of looking")
        return
    finally:
        connection.set_progress_handler(None, 0)
    if said == ["ok"]:
        yield ok("database", f"{file}, {size}: sound")
    else:
        fix = "stop the service and restore the newest copy of it"
        yield fail("database", f"{file} is damaged: {'; '.join(said)}", fix)


def _schema(cursor: Any, file: Path) -> Iterator[Finding]:
    from ktrdr.store.migrate import HEAD

    has_table = cursor.execute("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'").fetchone()
    found = cursor.execute("SELECT version_num FROM alembic_version").fetchone() if has_table else None
    if found is None:
        yield warn("schema", f"{file} has none yet", "ktrdr up makes it")
    elif found[0] == HEAD:
        yield ok("schema", f"{HEAD}, the newest")
    elif found[0] < HEAD:
        yield warn("schema", f"{found[0]}; this version of ktrdr has {HEAD}", "ktrdr up brings it there at its start")
    else:
        yield fail("schema", f"{found[0]} is newer than this version of ktrdr knows ({HEAD})", "upgrade ktrdr")


def _clock(cursor: Any) -> Iterator[Finding]:
    import pysqlite3

    newest = None
    with suppress(pysqlite3.OperationalError):  # no table yet
        newest = cursor.execute("SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1").fetchone()
    if newest is None:
        yield ok("clock", "no event to compare it with yet")
        return
    ahead = (datetime.fromisoformat(newest[0]) - datetime.now(UTC)).total_seconds()
    if ahead > _FUTURE_SECONDS:
        found = f"the newest event was recorded {ahead:,.0f} s from now: this machine's clock is behind, or was ahead"
        yield warn("clock", found, "set the clock; until it has caught up, new events carry that moment")
    else:
        yield ok("clock", f"not behind the newest event ({newest[0]})")


def _lock_can_be_had(cursor: Any) -> bool:
    from ktrdr.store.database import try_begin_write

    deadline = time.monotonic() + _LOCK_SECONDS
    cursor.execute("PRAGMA busy_timeout=0")
    while not try_begin_write(cursor):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    cursor.execute("ROLLBACK")
    return True


def _held(file: Path) -> Finding:
    from ktrdr.store.stopped_writer import StoppedWriters

    pid = 0
    with suppress(OSError):
        pid = StoppedWriters(str(file)).holder()  # no connection of this process is open any more
    if not pid:
        return fail("lock", f"another process has it for over {_LOCK_SECONDS:g} s", "stop what writes there")
    what = state = ""
    with suppress(OSError):
        what = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
        letter = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        state = ", which is stopped" if letter == "T" else ""
    return fail("lock", f"process {pid} ({what or 'unknown'}){state} has it for over {_LOCK_SECONDS:g} s",
                f"let it go on (kill -CONT {pid}) or end it (kill {pid})")  # fmt: skip


def _wal(file: Path) -> Iterator[Finding]:
    wal = file.with_name(f"{file.name}-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size > _LARGE_WAL_BYTES:
        yield warn("write-ahead log", f"{size / 1e6:,.0f} MB: something reads the database for very long",
                   f"end what has {file} open for long; fuser {file} names the processes")  # fmt: skip
    else:
        yield ok("write-ahead log", f"{size / 1e6:,.1f} MB")


def signing_key(settings: Settings) -> Iterator[Finding]:
    """Whether the key is there, and nobody else can read it."""
    key = settings.home / "audit" / "signing.key"
    if not key.exists():
        yield ok("signing key", f"there is none at {key} yet; the first signature makes it")
        return
    mode = key.stat().st_mode & 0o777
    if mode & 0o077:
        yield fail("signing key", f"others can read {key} (mode {mode:o}): they can sign in this log's name",
                   f"chmod 600 {key}, then: ktrdr audit rotate-key")  # fmt: skip
    elif not os.access(key, os.R_OK):
        yield fail("signing key", f"{key} cannot be read", "run ktrdr as the user that owns it")
    else:
        yield ok("signing key", f"{key}, for its owner alone")
