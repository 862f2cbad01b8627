"""Verifying the whole log: every event, and everything that has to agree with it. Imports jobs, training and the store.

Changes nothing and holds no lock, so it may run beside the service. It trusts nothing that the database promises: what
a trigger refuses is checked again, because whoever tampers drops the triggers first. Whoever holds the database and the
signing key can make both anew; only a checkpoint that was kept elsewhere tells that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pysqlite3
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from ktrdr.audit.checking.findings import DAMAGE, Findings
from ktrdr.audit.checking.folding import Folded
from ktrdr.audit.checking.kept_files import check_files
from ktrdr.audit.checking.shares import FoldingEndedError, fold_log
from ktrdr.audit.checking.tree_check import Statement, check_statement, check_tree, read_leaves, read_statement
from ktrdr.audit.signed.notes import NoteError, SignedNote, VerifierKey
from ktrdr.audit.signed.signing import SigningError, has_keys, published_keys, rotation_notes, trusted_keys
from ktrdr.store import Store
from ktrdr.store.rebuild import orphans
from ktrdr.store.schema import datasets, log_checkpoints, tree


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was looked at, and what is wrong with it."""

    events: int
    jobs: int
    models: int
    prices: int
    #: Signed checkpoints, those kept elsewhere included.
    checkpoints: int
    #: Events whose data was pruned: what they said is gone, that they were there is proved.
    pruned: int
    #: One sentence each, with the place in it.
    findings: tuple[str, ...]
    #: Findings beyond `MOST_FINDINGS`.
    left_out: int

    @property
    def is_sound(self) -> bool:
        return not self.findings

    @property
    def sentence(self) -> str:
        looked_at = (
            f"{_count(self.events, 'event')} of {_count(self.jobs, 'job')}, "
            f"{_count(self.models, 'model')} and {_count(self.prices, 'price file')}"
        )
        if self.checkpoints:
            looked_at += f" against {_count(self.checkpoints, 'signed checkpoint')}"
        pruned = f" ({_count(self.pruned, 'event')} pruned to the hash)" if self.pruned else ""
        if self.is_sound:
            return f"sound: {looked_at} verified{pruned}, nothing is missing or changed"
        return f"not sound: {_count(len(self.findings) + self.left_out, 'finding')} in {looked_at}{pruned}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def verify(
    store: Store,
    progress: Callable[[int], None] = lambda _: None,
    *,
    kept: Sequence[tuple[str, SignedNote]] = (),
    key: VerifierKey | None = None,
) -> Verdict:
    """Looks at every event, every projection, everything signed, and every file that a job or a dataset needs.

    `kept`: signed checkpoints that were kept elsewhere, each with a name for people. `key`: the key to trust,
    kept elsewhere too; without it the keys beside the database are. `progress` is called with the number of events
    folded so far. Whatever is damaged is a finding. Raises NoteError if what was kept is no checkpoint.
    """
    outside = [read_statement(where, note) for where, note in kept]
    findings, folded, looked_at = Findings(), Folded(), _Signed()
    try:
        with store.engine.connect() as connection:
            (size,) = connection.execute(select(tree.c.size)).first() or (0,)

            def meanwhile() -> None:
                looked_at.outside = outside
                _check_whole(connection, store, key, looked_at, findings)

            folded = fold_log(store.engine, size, is_thorough=True, progress=progress, meanwhile=meanwhile)
            for dataset in connection.execute(select(datasets)).mappings():
                by = f"dataset {dataset['symbol']} {dataset['timeframe']}"
                folded.needed.prices.setdefault(dataset["digest"], by)
    except (SQLAlchemyError, pysqlite3.Error) as error:
        findings.add(f"the database cannot be read any further: {getattr(error, 'orig', error)}")
    except (FoldingEndedError, *DAMAGE) as error:
        findings.add(f"the log cannot be verified any further: {error}")
    folded.findings.add_all(check_files(store, folded.needed))
    findings.merge(folded.findings)
    return Verdict(
        events=folded.events,
        jobs=folded.jobs,
        models=len(folded.needed.models),
        prices=len(folded.needed.prices),
        checkpoints=looked_at.count,
        pruned=folded.pruned,
        findings=findings.sentences(),
        left_out=findings.left_out,
    )


@dataclass(slots=True)
class _Signed:
    """The checkpoints to be looked at."""

    outside: Sequence[Statement] = ()
    count: int = 0


def _check_whole(
    connection: Connection, store: Store, key: VerifierKey | None, signed: _Signed, findings: Findings
) -> None:
    """What is not about single jobs: the file, the order, the tree, the signatures. All as of one moment."""
    findings.add_all(_check_database(connection))
    connection.exec_driver_sql("BEGIN")
    try:
        statements = [*signed.outside, *_stored_statements(connection, findings)]
        leaves = read_leaves(connection, (statement.checkpoint.size for statement in statements))
        signed.count = len(statements)
        check_tree(connection, leaves)
        findings.merge(leaves.findings)
        origin = connection.execute(select(tree.c.origin)).scalar()
        keys = _keys(store, key, findings)
        findings.add_all(filter(None, (check_statement(one, leaves, origin, keys) for one in statements)))
        for orphan in orphans(connection, repair=False):
            findings.add(str(orphan))
    finally:
        connection.rollback()


def _check_database(connection: Connection) -> Iterator[str]:
    """What SQLite finds wrong with its own file: pages, indexes, constraints."""
    for said in connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars():
        if said != "ok":
            yield f"the database file is damaged: {said}"


def _stored_statements(connection: Connection, findings: Findings) -> list[Statement]:
    found = []
    for row in connection.execute(select(log_checkpoints).order_by(log_checkpoints.c.size)):
        where = f"the checkpoint of size {row.size}"
        try:
            statement = read_statement(where, SignedNote.parse(row.note))
        except (NoteError, *DAMAGE) as error:
            findings.add(f"{where} cannot be read: {error}")
            continue
        if statement.checkpoint.size != row.size:
            findings.add(f"{where} is one of size {statement.checkpoint.size}")
        found.append(statement)
    return found


def _keys(store: Store, key: VerifierKey | None, findings: Findings) -> list[VerifierKey]:
    """The keys to believe: those that the one kept elsewhere leads to, or else those beside the database."""
    try:
        if key is not None:
            return trusted_keys(key, rotation_notes(store))
        return published_keys(store) if has_keys(store) else []
    except (SigningError, NoteError, OSError, SQLAlchemyError, *DAMAGE) as error:
        findings.add(f"the keys of this log cannot be read: {error}")
        return [] if key is None else [key]
