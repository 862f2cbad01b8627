"""Reading the Merkle tree over the log: its size and root, and the hashes of subtrees that proofs are made of.

Imports jobs and sqlalchemy. Kept are the leaf hashes, in the events themselves, and one hash for each complete subtree
of 256 leaves, of 65,536 and so on; what lies between them is computed from at most 128 of these.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from ktrdr.jobs.merkle import Edge, SubtreeHash
from ktrdr.store.schema import events, tree, tree_nodes

#: Hashes are kept of subtrees of this level, twice it, three times it, …
TILE_LEVELS = 8


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

    Raises ValueError for a subtree that the log does not have whole.
    """

    def subtree(level: int, index: int) -> bytes:
        base = level - level % TILE_LEVELS
        first, count = index << (level - base), 1 << (level - base)
        if base == 0:
            query = select(events.c.leaf_hash).where(events.c.position.between(first + 1, first + count))
            found = list(connection.scalars(query.order_by(events.c.position)))
        else:
            of_level = tree_nodes.c.level == base
            query = select(tree_nodes.c.hash).where(of_level, tree_nodes.c.index.between(first, first + count - 1))
            found = list(connection.scalars(query.order_by(tree_nodes.c.index)))
        if len(found) != count:
            raise ValueError(f"the log holds {len(found)} of the {count} hashes below node {index} of level {level}")
        edge = Edge()
        for node in found:
            edge.append(node)
        return edge.root()

    return subtree
