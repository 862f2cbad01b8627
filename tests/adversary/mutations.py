"""Random mutations of a log, by class, and how far the attacker goes to hide each.

A mutation changes a list of rows. The attacker then writes them into a copy of the database, past the triggers, and
makes everything else fit them, as far as his strength goes: the hashes of the events, then the tree and the
projections, then the signed checkpoints, which he removes or, with the stolen key, makes anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from random import Random
from typing import Any

import pysqlite3
from adversary.victim import COLUMNS, SIZES, Row, Victim
from jobs.job_builders import SUBMITTED
from sqlalchemy.exc import SQLAlchemyError

from ktrdr.audit.checking.findings import DAMAGE
from ktrdr.audit.signed.notes import LogCheckpoint, SignedNote
from ktrdr.audit.signed.signing import sign_checkpoint
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.codec import leaf_hash
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.merkle import Edge
from ktrdr.jobs.state import no_job
from ktrdr.store import Store
from ktrdr.store.log import Transaction
from ktrdr.store.rebuild import rebuild
from ktrdr.store.tree import TILE_LEVELS


class Strength(IntEnum):
    """How much the attacker makes fit; each does what the ones before do."""

    #: Nothing but the mutation.
    PLAIN = 0
    #: The hash of each event.
    HASHES = 1
    #: The tree and all projections.
    FOLLOWED = 2
    #: The signed checkpoints are removed.
    UNSIGNED = 3
    #: New ones are signed with the stolen key.
    STOLEN_KEY = 4


Rows = list[Row]
#: Changes the rows; None where this one cannot be done to them.
Mutate = Callable[[Random, Rows], Rows | None]
_HARMLESS = ("StageStarted", "StageFinished", "BatchProgressed", "EpochFinished")


def flip(chance: Random, rows: Rows) -> Rows:
    """Turns one bit of any column of any event."""
    row, column = chance.choice(rows), chance.choice(COLUMNS)
    value = row[column]
    if isinstance(value, int):
        row[column] = value ^ (1 << chance.randrange(16))
    elif isinstance(value, str):
        row[column] = _flipped(chance, value.encode())
    else:
        row[column] = bytes(_flipped(chance, value))
    return rows


def _flipped(chance: Random, data: bytes) -> bytearray:
    flipped = bytearray(data)
    flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
    return flipped


def update(chance: Random, rows: Rows) -> Rows | None:
    """Says something else, in good form: another number, worker, time or client."""
    row = chance.choice(rows)
    what = chance.randrange(3)
    if what == 0:
        row["actor"] = chance.choice(("client:eve", "scheduler", "worker:box-99"))
    elif what == 1:
        row["recorded_at"] = row["recorded_at"][:-7] + f"{chance.randrange(10**6):06}Z"
    else:
        data = json.loads(row["data"])
        numbers = [name for name, value in data.items() if isinstance(value, int | float) and value > 1]
        texts = [name for name in ("message", "where", "worker", "reason", "code_version") if data.get(name)]
        if not numbers + texts:
            return None
        name = chance.choice(numbers + texts)
        data[name] = data[name] + chance.randrange(1, 9) if name in numbers else f"{data[name]}!"
        row["data"] = dumps(data)
    return rows


def delete(chance: Random, rows: Rows) -> Rows | None:
    """Removes one event, or a stretch of harmless ones, and closes the gaps."""
    first = chance.randrange(len(rows) - 1)  # the last one is the tail's
    del rows[first : first + chance.choice((1, 1, 1, 2, 5))]
    return rows


def delete_quietly(chance: Random, rows: Rows) -> Rows | None:
    """Removes an event that nothing depends on."""
    del rows[chance.choice([place for place, row in enumerate(rows) if row["type"] in _HARMLESS])]
    return rows


def swap(chance: Random, rows: Rows) -> Rows:
    """Lets two events change places, neighbours or not; what each says stays."""
    first = chance.randrange(len(rows) - 1)
    second = first + 1 if chance.random() < 0.5 else chance.randrange(len(rows))
    # Times still rise: the attacker knows that they must.
    for column in ("position", "recorded_at"):
        rows[first][column], rows[second][column] = rows[second][column], rows[first][column]
    rows[first], rows[second] = rows[second], rows[first]
    return rows


def insert(chance: Random, rows: Rows) -> Rows:
    """Adds an event that never was: one like another of the same job, beside it."""
    place = chance.choice([place for place, row in enumerate(rows) if row["type"] in _HARMLESS])
    invented = dict(rows[place])
    data = json.loads(invented["data"])
    for name in ("epoch", "batch", "seconds", "train_loss"):
        if name in data and chance.random() < 0.7:
            data[name] = chance.randrange(1, 60)
    invented["data"] = dumps(data)
    rows.insert(place + 1, invented)
    return rows


def truncate(chance: Random, rows: Rows) -> Rows:
    """Cuts off the end."""
    del rows[-chance.choice((1, 1, 2, 3, chance.randrange(1, len(rows)))) :]
    return rows


#: Class → what is done to the rows, and how strong the attacker may be.
CLASSES: dict[str, tuple[tuple[Mutate, ...], tuple[Strength, ...]]] = {
    "flip": ((flip,), tuple(Strength)[:4]),
    "update past the triggers": ((update,), tuple(Strength)[:4]),
    "delete": ((delete, delete_quietly), tuple(Strength)[:4]),
    "swap": ((swap,), tuple(Strength)[:4]),
    "insert": ((insert,), tuple(Strength)[:4]),
    "truncate the tail": ((truncate,), tuple(Strength)[:4]),
    "roll back to an old copy": ((), ()),
    "fork with the same key": (
        (flip, update, delete, delete_quietly, swap, insert, truncate),
        (Strength.STOLEN_KEY,),
    ),
}
ROLL_BACK = "roll back to an old copy"


def attack(victim: Victim, kind: str, chance: Random, database: Path) -> Store | None:
    """The installation after one mutation of that class, in `database`; None if it changed nothing or cannot be."""
    if kind == ROLL_BACK:
        shutil.copyfile(victim.copies[chance.choice(SIZES[:-1])], database)
        store = victim.attacked(database)
        if chance.random() < 0.5:
            _go_on(store, chance)
        return store
    mutations, strengths = CLASSES[kind]
    strength = chance.choice(strengths)
    rows = chance.choice(mutations)(chance, [dict(row) for row in victim.rows])
    if rows is None:
        return None
    if strength >= Strength.FOLLOWED or (strength == Strength.HASHES and len(rows) != len(victim.rows)):
        _renumber(rows)
    if strength >= Strength.HASHES:
        for row in rows:
            _mend_hash(row)
    if rows == list(victim.rows):
        return None
    shutil.copyfile(victim.copies[SIZES[-1]], database)
    store = victim.attacked(database)
    if not _write(victim, store, rows):
        return None
    if strength >= Strength.FOLLOWED:
        _follow(store, rows)
    if strength >= Strength.UNSIGNED:
        _sign_anew(victim, store, rows, is_signed=strength is Strength.STOLEN_KEY)
    return store


def _renumber(rows: Rows) -> None:
    """Gives positions and versions as the log would have."""
    versions: dict[object, int] = {}
    for position, row in enumerate(rows, start=1):
        versions[_plain(row["job_id"])] = version = versions.get(_plain(row["job_id"]), 0) + 1
        row["position"], row["version"] = position, version


def _plain(value: object) -> object:
    return bytes(value) if isinstance(value, bytearray) else value


def _mend_hash(row: Row) -> None:
    with suppress(*DAMAGE):
        texts = {name: _text(value) for name, value in row.items() if name != "leaf_hash"}
        texts["event_type"], texts["at"] = texts.pop("type"), texts.pop("recorded_at")
        row["leaf_hash"] = leaf_hash(**texts)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytearray) else value


def _write(victim: Victim, store: Store, rows: Sequence[Row]) -> bool:
    """Puts the rows in the place of the log; False if the database cannot hold them, whoever asks."""
    connection = pysqlite3.connect(str(store.engine.url.database), isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM events")
        try:
            for row in rows:
                # A text that is no text any more goes in as it is.
                holders = ", ".join(
                    "CAST(? AS TEXT)" if isinstance(value, bytearray) else "?" for value in row.values()
                )
                names = ", ".join(f'"{name}"' for name in row)
                connection.execute(f"INSERT INTO events ({names}) VALUES ({holders})", list(row.values()))
        except (pysqlite3.IntegrityError, OverflowError):
            return False
        for trigger in victim.triggers:
            connection.execute(trigger)
        connection.execute("COMMIT")
    finally:
        connection.close()
    return True


def _edges(rows: Sequence[Row]) -> tuple[Edge, dict[int, bytes], list[tuple[int, int, bytes]]]:
    """The tree over the rows: its edge, the root at each size that is signed, and the nodes that are kept."""
    edge, roots, nodes = Edge(), {}, []
    for row in rows:
        for level, node in enumerate(edge.append(row["leaf_hash"]), start=1):
            if level % TILE_LEVELS == 0:
                nodes.append((level, (edge.size >> level) - 1, node))
        if edge.size in (*SIZES, len(rows)):
            roots[edge.size] = edge.root()
    return edge, roots, nodes


def _follow(store: Store, rows: Sequence[Row]) -> None:
    """Makes the tree and the projections fit."""
    edge, _, nodes = _edges(rows)
    with store.engine.begin() as connection:
        run = connection.exec_driver_sql
        run("UPDATE tree SET size = ?, edge = ?", (edge.size, bytes(edge)))
        run("UPDATE tree SET recorded_at = (SELECT coalesce(max(recorded_at), '') FROM events)")
        run("DELETE FROM tree_nodes")
        for node in nodes:
            run('INSERT INTO tree_nodes (level, "index", hash) VALUES (?, ?, ?)', node)
    # Where the rows make no sense, neither do the projections.
    with suppress(*DAMAGE, SQLAlchemyError, pysqlite3.Error):
        rebuild(store.engine, store.doorbell)


def _sign_anew(victim: Victim, store: Store, rows: Sequence[Row], *, is_signed: bool) -> None:
    _, roots, _ = _edges(rows)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM log_checkpoints")
        for size, root in roots.items():
            if is_signed:
                text = LogCheckpoint(victim.key.name, size, root).text
                note = SignedNote(text, (victim.key.sign(text),))
                connection.exec_driver_sql(
                    "INSERT INTO log_checkpoints VALUES (?, ?, ?)", (size, str(note), "2026-01-01T00:00:00.000000Z")
                )


def _go_on(store: Store, chance: Random) -> None:
    """The service works on the old copy as if nothing had been, and signs what it does: it has the key."""
    jobs = [make_job_id(number, chance.randbytes(10)) for number in range(chance.randrange(1, SIZES[-1]))]

    def submit_all(transaction: Transaction) -> None:
        for job_id in jobs:
            submitted = replace(SUBMITTED, seed=chance.randrange(1000), prices=())
            transaction.append(no_job(job_id), [submitted], actor="client:anna")

    log = store.open_log()
    try:
        log.write(submit_all)
        sign_checkpoint(store, log)
    finally:
        log.close()
