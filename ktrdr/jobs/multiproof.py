"""One proof for many leaves of the Merkle tree at once: making it, and the root that it leads to.

Imports merkle. The proof is the minimal one: the hashes of the largest ranges of RFC 6962's recursion that hold none of
the leaves, from left to right. Which ranges these are follows from the leaves' indexes and the size, so a proof carries
hashes only; of neighbouring leaves it needs fewer than one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ktrdr.jobs.merkle import EMPTY_ROOT, ProofError, SubtreeHash, node_hash, range_root, split_of


def make_multiproof(indexes: Sequence[int], size: int, subtree: SubtreeHash) -> list[bytes]:
    """The proof of the leaves with these indexes in a tree of `size` leaves.

    Raises ValueError unless the indexes rise and lie in the tree.
    """
    _require_rising(indexes, size)

    def untouched(first: int, end: int) -> Iterator[bytes]:
        if first == end:
            return
        if not _has_any(indexes, first, end):
            yield range_root(first, end, subtree)
        elif end - first > 1:
            middle = first + split_of(end - first)
            yield from untouched(first, middle)
            yield from untouched(middle, end)

    return list(untouched(0, size))


def root_from_multiproof(indexes: Sequence[int], leaves: Sequence[bytes], size: int, proof: Sequence[bytes]) -> bytes:
    """The root that a proof leads to, to be compared with a trusted one. `leaves` are the leaf hashes of `indexes`.

    Raises ProofError.
    """
    try:
        _require_rising(indexes, size)
        given = dict(zip(indexes, leaves, strict=True))
    except ValueError as error:
        raise ProofError(str(error)) from None
    hashes = iter(proof)

    def root(first: int, end: int) -> bytes:
        if not _has_any(indexes, first, end):
            return next(hashes)
        if end - first == 1:
            return given[first]
        middle = first + split_of(end - first)
        return node_hash(root(first, middle), root(middle, end))

    try:
        found = root(0, size) if size else EMPTY_ROOT
    except StopIteration:
        raise ProofError(f"the proof has too few hashes for {len(indexes)} leaves of {size}") from None
    if next(hashes, None) is not None:
        raise ProofError(f"the proof has too many hashes for {len(indexes)} leaves of {size}")
    return found


def _require_rising(indexes: Sequence[int], size: int) -> None:
    if any(later <= earlier for earlier, later in pairwise(indexes)):
        raise ValueError("the indexes of the leaves do not rise")
    if indexes and not 0 <= indexes[0] <= indexes[-1] < size:
        raise ValueError(f"leaves {indexes[0]} to {indexes[-1]} are not all in a tree of {size} leaves")


def _has_any(indexes: Sequence[int], first: int, end: int) -> bool:
    """Whether one of the rising indexes is from `first` to before `end`."""
    at = bisect_left(indexes, first)
    return at < len(indexes) and indexes[at] < end
