"""Whether the tree over the log, and what was signed of it, is that of the events. Imports jobs and the store.

One pass over positions, times and leaf hashes; whether a leaf hash is that of its event is looked at elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from ktrdr.audit.checking.findings import Findings
from ktrdr.audit.signed.notes import LogCheckpoint, NoteError, SignedNote, VerifierKey
from ktrdr.jobs.merkle import EMPTY_ROOT, HASH_BYTES, Edge
from ktrdr.store.schema import events, tree, tree_nodes
from ktrdr.store.statements import Prepared
from ktrdr.store.tree import TILE_LEVELS


@dataclass(slots=True)
class Leaves:
    """The tree over the events, made again."""

    edge: Edge = field(default_factory=Edge)
    #: (level, index) → hash, of those that are kept.
    nodes: dict[tuple[int, int], bytes] = field(default_factory=dict)
    #: Size → root, of the sizes that were asked for.
    roots: dict[int, bytes] = field(default_factory=dict)
    recorded_at: str = ""
    findings: Findings = field(default_factory=Findings)

    @property
    def size(self) -> int:
        return self.edge.size


def read_leaves(connection: Connection, sizes: Iterable[int] = ()) -> Leaves:
    """Grows the tree again, and finds gaps between positions and times that fall.

    `sizes`: of which to keep the root.
    """
    leaves = Leaves()
    wanted = sorted({size for size in sizes if size > 0}, reverse=True)
    leaves.roots[0] = EMPTY_ROOT
    query = select(events.c.position, events.c.recorded_at, events.c.leaf_hash).order_by(events.c.position)
    cursor: Any = connection.connection.cursor()
    expected = 1
    for position, recorded_at, leaf in Prepared(query, connection.dialect).run(cursor):
        if position != expected:
            leaves.findings.add(f"{_missing(expected, position - 1)} before event {position}", position)
        expected = position + 1
        if not isinstance(recorded_at, str) or recorded_at < leaves.recorded_at:
            before = leaves.recorded_at
            sentence = f"event {position} was recorded at {recorded_at}, before the event that it follows ({before})"
            leaves.findings.add(sentence, position)
        else:
            leaves.recorded_at = recorded_at
        is_hash = isinstance(leaf, bytes) and len(leaf) == HASH_BYTES
        if not is_hash:
            leaves.findings.add(f"event {position} has no leaf hash of {HASH_BYTES} bytes", position)
        for level, node in enumerate(leaves.edge.append(bytes(leaf) if is_hash else bytes(HASH_BYTES)), start=1):
            if level % TILE_LEVELS == 0:
                leaves.nodes[level, (leaves.size >> level) - 1] = node
        if wanted and leaves.size == wanted[-1]:
            leaves.roots[wanted.pop()] = leaves.edge.root()
    return leaves


def check_tree(connection: Connection, leaves: Leaves) -> None:
    """Adds to the findings where the stored tree is not the one over the events."""
    find = leaves.findings.add
    rows = connection.execute(select(tree)).all()
    if len(rows) != 1:
        find(f"the table tree holds {len(rows)} rows instead of one")
    for row in rows[:1]:
        if row.size != leaves.size:
            find(
                f"the tree was grown to {row.size} events, but the log holds {leaves.size}: some were added or removed"
            )
        elif row.edge != bytes(leaves.edge):
            find("the stored tree is not the one over the events: they were changed, or the tree was")
        if row.recorded_at != leaves.recorded_at:
            find(f"the tree's newest event is of {row.recorded_at or 'never'}, that of the log of {leaves.recorded_at}")
    missing = dict(leaves.nodes)
    for level, index, stored in connection.execute(select(tree_nodes)):
        if missing.pop((level, index), None) != stored:
            find(f"node {index} of level {level} of the stored tree is not that of the events below it")
    for level, index in missing:
        find(f"node {index} of level {level} of the stored tree is missing")


@dataclass(frozen=True, slots=True)
class Statement:
    """A signed checkpoint, and where it was found."""

    where: str
    note: SignedNote
    checkpoint: LogCheckpoint


def read_statement(where: str, note: SignedNote) -> Statement:
    """Raises NoteError if the note is no checkpoint."""
    return Statement(where, note, LogCheckpoint.parse(note.text))


def check_statement(
    statement: Statement, leaves: Leaves, origin: str | None, keys: Sequence[VerifierKey]
) -> str | None:
    """What a signed checkpoint shows to be wrong; None if the log is what it says."""
    signed, where = statement.checkpoint, statement.where
    if signed.origin != origin:
        return f"{where} is of the log {signed.origin}, not of this one ({origin})"
    try:
        if not statement.note.signers(keys):
            return f"{where} is signed by no key of this log"
    except NoteError as error:
        return f"{where}: {error}"
    if signed.size > leaves.size:
        return (
            f"{where} states {signed.size} events, but the log holds {leaves.size}: its end was cut off, or an old "
            "copy was put back"
        )
    if leaves.roots.get(signed.size) != signed.root:
        return f"{where} states another root: one of the first {signed.size} events is not what was signed"
    return None


def _missing(first: int, last: int) -> str:
    return f"position {first} is missing" if first == last else f"positions {first} to {last} are missing"
