"""The installation that is attacked: a small log, signed several times, and old copies of it."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pysqlite3

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.million_events import Writer

from ktrdr.audit.signed.notes import SignedNote, SigningKey
from ktrdr.audit.signed.signing import sign_checkpoint, signing_key
from ktrdr.store import Store, open_store
from ktrdr.store.database import open_engine

#: A copy of the database is kept and a checkpoint is signed at each of these sizes, and at the last one.
SIZES = (30, 60, 90, 120, 150)
#: What the log says of itself in so many columns, in this order.
COLUMNS = ("position", "job_id", "version", "type", "schema", "actor", "recorded_at", "leaf_hash", "data")
_SEED = 3

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Victim:
    store: Store
    key: SigningKey
    #: The newest checkpoint, as someone else has kept it.
    kept: SignedNote
    #: Size → a copy of the database as it was then.
    copies: dict[int, Path]
    #: The rows of the log.
    rows: tuple[Row, ...]
    #: The statements that make the triggers.
    triggers: tuple[str, ...]

    def attacked(self, database: Path) -> Store:
        """The same installation with another database in the place of its own."""
        return replace(self.store, engine=open_engine(f"sqlite:///{database}"))


def make_victim(home: Path) -> Victim:
    """Writes and signs the log in `home`."""
    store = open_store(home)
    log = store.open_log()
    try:
        writer = Writer(store, _SEED, beside=2, epochs=range(2, 4))
        log.write(writer.add_datasets)
        for size in SIZES:
            log.write(partial(writer.write_some, until=size - 1))
            log.write(partial(writer.submit_only, until=size))
            sign_checkpoint(store, log)
            _copy(store, size)
    finally:
        log.close()
    return open_victim(home)


def open_victim(home: Path) -> Victim:
    """What `make_victim` made, as another process finds it."""
    store = open_store(home)
    copies = {size: _copy_of(home, size) for size in SIZES}
    connection = pysqlite3.connect(str(copies[SIZES[-1]]))
    try:
        rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY position").fetchall()
        triggers = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        (newest,) = connection.execute("SELECT note FROM log_checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    finally:
        connection.close()
    return Victim(
        store=store,
        key=signing_key(store),
        kept=SignedNote.parse(newest),
        copies=copies,
        rows=tuple(dict(zip(COLUMNS, row, strict=True)) for row in rows),
        triggers=tuple(sql for (sql,) in triggers),
    )


def _copy(store: Store, size: int) -> None:
    connection = pysqlite3.connect(str(store.engine.url.database))
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    shutil.copyfile(str(store.engine.url.database), _copy_of(store.home, size))


def _copy_of(home: Path, size: int) -> Path:
    return home / f"copy-{size}.db"
