"""Folding the whole log from zero, and comparing what it adds up to with everything that is kept beside it.

Imports the store. Changes nothing; `ktrdr.store.rebuild` repairs what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import select

from ktrdr.audit.checking.findings import Findings
from ktrdr.audit.checking.folding import state_hash
from ktrdr.audit.checking.shares import fold_log
from ktrdr.audit.checking.subject_fold import subject_hash
from ktrdr.audit.checking.tree_check import check_tree, read_leaves
from ktrdr.jobs.service.subject import Subject
from ktrdr.jobs.state import JobState
from ktrdr.store import Store
from ktrdr.store.rebuild import orphans
from ktrdr.store.schema import tree


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the log adds up to."""

    events: int
    jobs: int
    #: Of the log's beginning up to where it ended when the replay began (`state_digest`).
    state_digest: str
    #: Where a projection does not say what the log says, one sentence each.
    differences: tuple[str, ...]
    #: Differences beyond those.
    left_out: int

    @property
    def is_equal(self) -> bool:
        return not self.differences


def state_digest(states: Iterable[JobState | Subject]) -> str:
    """The *state digest* of a log, from the states of its jobs and subjects in the order of their first events.

    SHA-256 over the SHA-256 of each state's canonical JSON (RFC 8785), a state being its fields without those that are
    as in one that does not exist. Two logs have the same digest only if everything stands the same in both.
    """
    return _digest(subject_hash(one) if isinstance(one, Subject) else state_hash(one) for one in states)


def _digest(state_hashes: Iterable[bytes]) -> str:
    digest = sha256()
    for one in state_hashes:
        digest.update(one)
    return digest.hexdigest()


def replay(store: Store, progress: Callable[[int], None] = lambda _: None) -> Replayed:
    """Folds all events from zero, reading nothing but them; compares with jobs, terms, leases, snapshots and the tree.

    `progress` is called with the number of events folded so far. Raises DBAPIError and the driver's errors if the
    database cannot be read, and FoldingEndedError.
    """
    findings = Findings()
    with store.engine.connect() as connection:
        (size,) = connection.execute(select(tree.c.size)).one()

        def meanwhile() -> None:
            connection.exec_driver_sql("BEGIN")
            try:
                leaves = read_leaves(connection)
                check_tree(connection, leaves)
                findings.merge(leaves.findings)
                findings.add_all(map(str, orphans(connection, repair=False)))
            finally:
                connection.rollback()

        folded = fold_log(store.engine, size, is_thorough=False, progress=progress, meanwhile=meanwhile)
    findings.merge(folded.findings)
    return Replayed(
        events=folded.events,
        jobs=folded.jobs,
        state_digest=_digest(one for _, one in sorted(folded.state_hashes)),
        differences=findings.sentences(),
        left_out=findings.left_out,
    )
