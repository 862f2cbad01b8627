"""Reading the Merkle tree over the log: its size and root, and the hashes of subtrees that proofs are made of.

Imports jobs and sqlalchemy. Kept are the leaf hashes, in the events themselves, and one hash for each complete subtree
of 256 leaves, of 65,536 and so on; what lies between them is computed from tiles of 256 neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

from sqlalchemy import Connection, select

from ktrdr.jobs.merkle import Edge, SubtreeHash, node_hash
from ktrdr.store.schema import events, tree, tree_nodes

#: Hashes are kept of subtrees of this level, twice it, three times it, …
TILE_LEVELS = 8


class MissingEventsError(ValueError):
    """The log does not have events that the tree was grown from, or never had them."""


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What the log adds up to as of one moment."""

    #: The log's name.
    origin: str
    #: Leaves: the position of the newest event.
    size: int
    root: bytes


def read_head(connection: Connection) -> TreeHead:
    """The tree as of the newest event."""
    row = connection.execute(select(tree)).one()
    return TreeHead(row.origin, row.size, Edge(row.size, row.edge).root())


def subtree_hashes(connection: Connection) -> SubtreeHash:
    """The hashes of complete subtrees of the log, for `inclusion_proof`, `consistency_proof` and `tree_root`.

    Raises MissingEventsError for a subtree that the log does not have whole.
    """
    # All hashes of a proof lie in a few tiles; the next proof over the same tree shares most of these.
    tile = lru_cache(maxsize=64)(partial(_tile, connection))

    def subtree(level: int, index: int) -> bytes:
        within = level % TILE_LEVELS
        number, at = divmod(index, 1 << (TILE_LEVELS - within))
        rows = tile(level - within, number)
        if at >= len(rows[within]):
            tile.cache_clear()  # the log may have grown since
            rows = tile(level - within, number)
            if at >= len(rows[within]):
                first, last = (index << level) + 1, (index + 1) << level
                raise MissingEventsError(f"of the events from position {first} to {last} not all are there")
        return rows[within][at]

    return subtree


def _tile(connection: Connection, base: int, number: int) -> list[list[bytes]]:
    """The hashes over up to 256 neighbours of level `base`: themselves, those of each two, of each four and so on."""
    first = number << TILE_LEVELS
    if base == 0:
        # An event's leaf has its position less one.
        query = select(events.c.position - 1, events.c.leaf_hash).where(
            events.c.position.between(first + 1, first + (1 << TILE_LEVELS))
        )
        found = connection.execute(query.order_by(events.c.position))
    else:
        of_tile = tree_nodes.c.index.between(first, first + (1 << TILE_LEVELS) - 1)
        query = select(tree_nodes.c.index, tree_nodes.c.hash).where(tree_nodes.c.level == base, of_tile)
        found = connection.execute(query.order_by(tree_nodes.c.index))
    # Nothing is known from a gap on: what follows would stand in the wrong place.
    rows = [[node for expected, (at, node) in enumerate(found, start=first) if at == expected]]
    for _ in range(TILE_LEVELS):
        below = rows[-1]
        rows.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
    return rows
