"""The Merkle tree over the log (RFC 6962, section 2): growing it, its root, proofs, and checking proofs.

Imports the standard library only. Pure: leaves are leaf hashes (`ktrdr.jobs.codec.leaf_hash`), numbered from 0; where
hashes of subtrees are kept is the caller's affair (`SubtreeHash`). A proof is a sequence of 32-byte hashes in the
order of the RFC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

#: The root of the tree without leaves.
EMPTY_ROOT = sha256(b"").digest()
HASH_BYTES = 32

#: (level, index) → the hash of the complete subtree over the leaves index·2^level … (index + 1)·2^level - 1.
SubtreeHash = Callable[[int, int], bytes]


class ProofError(ValueError):
    """A proof does not have the form that the sizes ask for, or does not lead to the root."""


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


class Edge:
    """The right edge of a growing tree: the complete subtrees that its leaves fall into, the largest first.

    All that appending and the root need: at most one hash for each bit of the size.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: bytes = b"") -> None:
        """Of a tree of `size` leaves, from what `bytes(edge)` gave. Raises ValueError if the two do not fit."""
        if len(hashes) != HASH_BYTES * size.bit_count():
            raise ValueError(f"the edge of a tree of {size} leaves holds {size.bit_count()} hashes of 32 bytes")
        self.size = size
        self._hashes = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]

    def __bytes__(self) -> bytes:
        return b"".join(self._hashes)

    def append(self, leaf: bytes) -> list[bytes]:
        """Adds a leaf; gives the hashes of the subtrees that it completes, those of level 1, 2, … in this order."""
        completed = []
        node, waiting = leaf, self.size
        while waiting & 1:
            node = node_hash(self._hashes.pop(), node)
            completed.append(node)
            waiting >>= 1
        self._hashes.append(node)
        self.size += 1
        return completed

    def root(self) -> bytes:
        if not self._hashes:
            return EMPTY_ROOT
        *others, root = self._hashes
        for left in reversed(others):
            root = node_hash(left, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over all leaves at once."""
    edge = Edge()
    for leaf in leaves:
        edge.append(leaf)
    return edge.root()


def tree_root(size: int, subtree: SubtreeHash) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return range_root(0, size, subtree) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, subtree: SubtreeHash) -> list[bytes]:
    """The audit path of leaf `index` in a tree of `size` leaves (RFC 6962, 2.1.1). Raises ValueError outside of it."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    first, end, path = 0, size, []
    while end - first > 1:
        middle = first + split_of(end - first)
        if index < middle:
            path.append(range_root(middle, end, subtree))
            end = middle
        else:
            path.append(range_root(first, middle, subtree))
            first = middle
    return path[::-1]


def consistency_proof(old: int, new: int, subtree: SubtreeHash) -> list[bytes]:
    """That the tree of `old` leaves is the beginning of the one of `new` (RFC 6962, 2.1.2). Raises ValueError."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is not the beginning of one of {new}")
    if old in (0, new):
        return []
    first, end, is_whole, path = 0, new, True, []
    while old != end:
        middle = first + split_of(end - first)
        if old <= middle:
            path.append(range_root(middle, end, subtree))
            end = middle
        else:
            path.append(range_root(first, middle, subtree))
            first, is_whole = middle, False
    if not is_whole:
        path.append(range_root(first, end, subtree))
    return path[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that a proof leads to, to be compared with a trusted one (RFC 9162, 2.1.3.2). Raises ProofError."""
    if not 0 <= index < size:
        raise ProofError(f"leaf {index} is not in a tree of {size} leaves")
    node, at, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            raise ProofError(f"the proof has more hashes than a tree of {size} leaves asks for")
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError(f"the proof has fewer hashes than a tree of {size} leaves asks for")
    return node


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises ProofError unless the proof shows that the new tree begins with the old one (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {old} leaves is not the beginning of one of {new}")
    if old in (0, new):
        expected = new_root if old else EMPTY_ROOT
        if proof or old_root != expected:
            raise ProofError("the roots differ, or there is a proof where none is needed")
        return
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise ProofError("the proof is empty")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    from_old = from_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError("the proof has more hashes than these sizes ask for")
        if at & 1 or at == last:
            from_old, from_new = node_hash(sibling, from_old), node_hash(sibling, from_new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            from_new = node_hash(from_new, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError("the proof has fewer hashes than these sizes ask for")
    if from_old != old_root or from_new != new_root:
        raise ProofError("the proof does not lead to the roots: one tree is not the beginning of the other")


def range_root(first: int, end: int, subtree: SubtreeHash) -> bytes:
    """The root over the leaves from `first` to before `end`, where `first` is a multiple of the largest power in it."""
    count = end - first
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return subtree(level, first >> level)
    middle = first + split_of(count)
    return node_hash(range_root(first, middle, subtree), range_root(middle, end, subtree))


def split_of(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)
