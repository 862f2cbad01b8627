"""The workers that are there: each one beats; one that falls silent is marked as lost. Imports jobs and the store.

What writes is an operation for `Log.write`. None of this is in the log of jobs: what a job ran on is in JobClaimed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ktrdr.jobs.events import Instant, Json
from ktrdr.jobs.workers import Beat, Present, WorkerState, has_gpu
from ktrdr.store.log import Transaction
from ktrdr.store.statements import Statements


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorker:
    """A worker as it was last heard of."""

    name: str
    kind: str
    state: WorkerState
    host: str
    pid: int
    version: str
    slots: int
    capabilities: Json
    started_at: Instant
    last_seen: Instant


def beat(transaction: Transaction, said: Beat) -> None:
    """Notes that a worker lives, and as what."""
    transaction.has_written = True
    cursor, statements = transaction.cursor, transaction.statements
    row = {
        "kind": said.kind,
        "state": said.state,
        "host": said.host,
        "pid": said.pid,
        "version": said.version,
        "slots": said.slots,
        "has_gpu": int(has_gpu(said.capabilities)),
        "capabilities": json.dumps(dict(said.capabilities), sort_keys=True),
        "last_seen": transaction.now,
    }
    if statements.update_worker.run(cursor, id=said.name, **row).rowcount == 0:
        statements.insert_worker.run(cursor, name=said.name, started_at=transaction.now, beats=1, **row)


def mark_lost(transaction: Transaction, name: str, beats: int) -> bool:
    """Marks a worker that fell silent; False if it was heard of once more than `beats` times."""
    marked: bool = transaction.statements.mark_worker_lost.run(transaction.cursor, id=name, heard=beats).rowcount == 1
    transaction.has_written |= marked
    return marked


def forget(transaction: Transaction, name: str, beats: int) -> bool:
    """Deletes a worker that is gone; False if it was heard of once more than `beats` times."""
    forgotten: bool = transaction.statements.forget_worker.run(transaction.cursor, id=name, heard=beats).rowcount == 1
    transaction.has_written |= forgotten
    return forgotten


def read_present(cursor: Any, statements: Statements) -> list[Present]:
    """The workers that take jobs or are about to."""
    return [
        Present(
            name=row[0], kind=row[1], state=WorkerState(row[2]), capabilities=json.loads(row[3]), slots=row[4],
            jobs=row[5],
        )
        for row in statements.present_workers.run(cursor)
    ]  # fmt: skip


def takes_jobs(cursor: Any, statements: Statements, worker: str) -> bool:
    """Whether a worker has not said that it is about to stop."""
    row = statements.worker_state.run(cursor, name=worker).fetchone()
    return row is None or row[0] not in (WorkerState.DRAINING, WorkerState.STOPPED)
