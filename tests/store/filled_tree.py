"""Logs with many events whose content does not matter, and the tree over them, faster than by appending."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from sqlalchemy import insert, update

from ktrdr.jobs.codec import leaf_hash
from ktrdr.jobs.merkle import Edge
from ktrdr.store import Store
from ktrdr.store.schema import events, tree, tree_nodes
from ktrdr.store.tree import TILE_LEVELS

_AT_ONCE = 10_000
JOB_ID, NOON = "019f0000-0000-7000-8000-000000000000", "2026-11-24T12:00:00.000000Z"


def fill(store: Store, count: int) -> None:
    """Batches of one endless job, and the tree over them as many small transactions would leave it."""
    edge = Edge()
    with store.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        for rows in _pages(random.Random(count), count):
            connection.execute(insert(events), rows)
            nodes = [
                {"level": level, "index": (row["position"] >> level) - 1, "hash": node}
                for row in rows
                for level, node in enumerate(edge.append(row["leaf_hash"]), start=1)
                if level % TILE_LEVELS == 0
            ]
            if nodes:
                connection.execute(insert(tree_nodes), nodes)
        connection.execute(update(tree).values(size=count, edge=bytes(edge), recorded_at=NOON))
        connection.exec_driver_sql("COMMIT")


def _pages(rng: random.Random, count: int) -> Iterator[list[dict[str, Any]]]:
    for first in range(1, count + 1, _AT_ONCE):
        yield [_row(position, rng) for position in range(first, min(first + _AT_ONCE, count + 1))]


def _row(position: int, rng: random.Random) -> dict[str, Any]:
    data = f'{{"batch":{rng.randrange(100)},"batches":100,"epoch":1,"epochs":9}}'
    hashed = leaf_hash(
        position=position, job_id=JOB_ID, version=position, event_type="BatchProgressed", schema=1, data=data,
        actor="test", at=NOON,
    )  # fmt: skip
    return {
        "position": position, "job_id": JOB_ID, "version": position, "type": "BatchProgressed", "schema": 1,
        "actor": "test", "recorded_at": NOON, "leaf_hash": hashed, "data": data,
    }  # fmt: skip
