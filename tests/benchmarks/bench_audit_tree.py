"""What the tree costs each append, and proofs over a log of many events: their size, making and checking them.

`python tests/benchmarks/bench_audit_tree.py [EVENTS]`: one million by default. Rounds are interleaved.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "jobs"))
sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

from benchmarks.figures import figure, spread
from filled_tree import fill
from job_builders import BATCH, EPOCH, NOON, SUBMITTED
from sqlalchemy import select
from store_steps import change, running_job

from ktrdr.audit.signed.notes import LogCheckpoint
from ktrdr.audit.signed.proofs import consistency, prove_event
from ktrdr.audit.signed.signing import published_keys, sign_checkpoint, snapshot
from ktrdr.jobs import decide
from ktrdr.jobs.codec import encode, leaf_hash
from ktrdr.jobs.events import JobEvent
from ktrdr.jobs.merkle import HASH_BYTES, Edge, check_consistency
from ktrdr.store import Store, open_store
from ktrdr.store.log import Log, Transaction
from ktrdr.store.reader import StoredEvent
from ktrdr.store.schema import events

ROUNDS, REPEATS, PROOFS = 7, 400, 300
EVENTS = {"a batch": BATCH, "an epoch": EPOCH, "a submission": SUBMITTED}


def seconds_each(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(REPEATS):
        work()
    return (time.perf_counter() - began) / REPEATS


def canonical(event: JobEvent) -> bytes:
    """The canonical form of an event and its leaf hash."""
    return leaf_hash(
        position=1_000_000, job_id="019f0000-0000-7000-8000-000000000000", version=100,
        event_type=type(event).__name__, schema=event.SCHEMA, data=encode(event), actor="worker:w1", at=NOON,
    )  # fmt: skip


class Growth:
    """A tree of one million leaves that grows as it does in a transaction: read, appended to, written."""

    def __init__(self) -> None:
        size = 1_000_000
        self._size, self._edge = size, bytes(HASH_BYTES * size.bit_count())

    def __call__(self) -> None:
        edge = Edge(self._size, self._edge)
        edge.append(bytes(32))
        self._size, self._edge = edge.size, bytes(edge)


def row_seconds(log: Log) -> float:
    """Writing the tree's row inside a transaction."""

    def write(transaction: Transaction) -> float:
        size, at, edge = transaction.statements.tree.run(transaction.cursor).fetchone()
        update = partial(
            transaction.statements.update_tree.run, transaction.cursor, new_size=size, new_time=at, new_edge=edge
        )
        return seconds_each(update)

    return log.write(write)


def measure_append(folder: Path) -> None:
    store = open_store(folder)
    log = store.open_log()
    job_id, grow = running_job(log), Growth()
    pieces: dict[str, list[float]] = {}
    append = partial(change, log, job_id, lambda state: decide.report(state, 1, (BATCH,)))
    for _ in range(ROUNDS):
        for name, event in EVENTS.items():
            pieces.setdefault(f"canonical form and hash of {name}", []).append(seconds_each(partial(canonical, event)))
        pieces.setdefault("tree: read, grow, write", []).append(seconds_each(grow))
        pieces.setdefault("tree: its row", []).append(row_seconds(log))
        pieces.setdefault("append of a batch, durable", []).append(seconds_each(append))
    log.close()
    typical = {name: median(seconds) * 1e6 for name, seconds in pieces.items()}
    for name, microseconds in typical.items():
        figure(name, microseconds, "µs", samples=ROUNDS * REPEATS)
    tree = typical["tree: read, grow, write"] + typical["tree: its row"]
    for name in EVENTS:
        total = typical[f"canonical form and hash of {name}"] + tree
        figure(f"tree and canonical form, per append of {name}", total, "µs", aim="≤ 100")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def measure_proofs(folder: Path, count: int) -> None:
    store, rng = open_store(folder), random.Random(1)
    figure("filling the log", timed(lambda: fill(store, count))[0], "s", events=count)
    log = store.open_log()
    signing, note = timed(lambda: sign_checkpoint(store, log))
    figure("signing a checkpoint, durable", signing * 1000, "ms", events=count)
    keys, stated = published_keys(store), LogCheckpoint.parse(note.text)
    making, checking, sizes, bare = [], [], [], []
    with snapshot(store.engine) as connection:
        for _ in range(PROOFS):
            row = connection.execute(select(events).where(events.c.position == rng.randint(1, count))).mappings().one()
            event = StoredEvent(**row)
            seconds, proof = timed(partial(prove_event, connection, event, note))
            making.append(seconds)
            checking.append(timed(lambda proof=proof: type(proof).parse(str(proof)).check(keys))[0])
            sizes.append(len(str(proof)))
            bare.append(HASH_BYTES * len(proof.hashes))
    spread("making the proof of an event", making, events=count)
    spread("checking the proof of an event", checking, events=count, aim="≤ 5")
    figure("proof of an event, most", max(sizes), "bytes", aim="≤ 2048", of_these_hashes=max(bare))
    measure_consistency(store, stated, rng)
    log.close()


def measure_consistency(store: Store, stated: LogCheckpoint, rng: random.Random) -> None:
    making, checking, hashes = [], [], []
    with snapshot(store.engine) as connection:
        for _ in range(PROOFS):
            old = rng.randint(1, stated.size)
            seconds, found = timed(partial(consistency, connection, old, stated.size))
            making.append(seconds)
            roots = found.old_root, stated.root
            checking.append(timed(partial(check_consistency, old, stated.size, *roots, found.hashes))[0])
            hashes.append(HASH_BYTES * len(found.hashes))
    spread("making the proof of a beginning, both roots included", making, events=stated.size)
    spread("checking the proof of a beginning", checking, events=stated.size, aim="≤ 5")
    figure("proof of a beginning, most", max(hashes), "bytes", aim="≤ 2048")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        measure_append(Path(name) / "appends")
        measure_proofs(Path(name) / "proofs", count)


if __name__ == "__main__":
    main()
