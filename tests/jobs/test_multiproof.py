"""One proof for many leaves: it leads to the root, is minimal, and nothing else leads there."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrdr.jobs.merkle import ProofError, inclusion_proof, root_of
from ktrdr.jobs.multiproof import make_multiproof, root_from_multiproof

SIZES = st.integers(1, 70)


def leaves_of(size: int) -> list[bytes]:
    return [sha256(b"\0" + bytes([number])).digest() for number in range(size)]


def subtrees(leaves: list[bytes]) -> Callable[[int, int], bytes]:
    return lambda level, index: root_of(leaves[index << level : (index + 1) << level])


@st.composite
def trees_and_indexes(draw: st.DrawFn) -> tuple[list[bytes], list[int]]:
    size = draw(SIZES)
    return leaves_of(size), sorted(draw(st.sets(st.integers(0, size - 1), min_size=1)))


@settings(deadline=None)
@given(trees_and_indexes())
def test_a_proof_leads_to_the_root(case: tuple[list[bytes], list[int]]) -> None:
    leaves, indexes = case
    proof = make_multiproof(indexes, len(leaves), subtrees(leaves))
    found = root_from_multiproof(indexes, [leaves[index] for index in indexes], len(leaves), proof)
    assert found == root_of(leaves)


@settings(deadline=None)
@given(trees_and_indexes())
def test_no_hash_of_a_proof_could_be_left_out(case: tuple[list[bytes], list[int]]) -> None:
    """Each hash is of a range that every leaf's own audit path would need, or that is part of such a range."""
    leaves, indexes = case
    proof = make_multiproof(indexes, len(leaves), subtrees(leaves))
    paths = [inclusion_proof(index, len(leaves), subtrees(leaves)) for index in indexes]
    assert set(proof) <= {one for path in paths for one in path}
    assert len(set(proof)) == len(proof)
    given_leaves = [leaves[index] for index in indexes]
    for place in range(len(proof)):
        with pytest.raises(ProofError):
            root_from_multiproof(indexes, given_leaves, len(leaves), proof[:place] + proof[place + 1 :])


@settings(deadline=None)
@given(trees_and_indexes(), st.data())
def test_a_changed_leaf_or_hash_leads_elsewhere(case: tuple[list[bytes], list[int]], data: st.DataObject) -> None:
    leaves, indexes = case
    proof = make_multiproof(indexes, len(leaves), subtrees(leaves))
    hashes = [leaves[index] for index in indexes] + proof
    place, byte, flip = data.draw(st.tuples(st.integers(0, len(hashes) - 1), st.integers(0, 31), st.integers(1, 255)))
    changed = bytearray(hashes[place])
    changed[byte] ^= flip
    hashes[place] = bytes(changed)
    count = len(indexes)
    assert root_from_multiproof(indexes, hashes[:count], len(leaves), hashes[count:]) != root_of(leaves)


def test_the_proof_of_every_leaf_is_empty_and_that_of_none_is_the_root() -> None:
    leaves = leaves_of(11)
    assert make_multiproof(range(11), 11, subtrees(leaves)) == []
    assert make_multiproof([], 11, subtrees(leaves)) == [root_of(leaves)]
    assert root_from_multiproof([], [], 11, [root_of(leaves)]) == root_of(leaves)
    assert root_from_multiproof([], [], 0, []) == root_of([])


@pytest.mark.parametrize(
    ("indexes", "size", "said"),
    [
        ([2, 1], 4, "the indexes of the leaves do not rise"),
        ([1, 1], 4, "the indexes of the leaves do not rise"),
        ([-1, 1], 4, "leaves -1 to 1 are not all in a tree of 4 leaves"),
        ([1, 4], 4, "leaves 1 to 4 are not all in a tree of 4 leaves"),
    ],
)
def test_leaves_outside_of_the_tree_are_refused(indexes: list[int], size: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_multiproof(indexes, size, subtrees(leaves_of(size)))
    with pytest.raises(ProofError, match=said):
        root_from_multiproof(indexes, [b"\0" * 32] * len(indexes), size, [])


def test_a_proof_of_another_length_is_refused() -> None:
    leaves = leaves_of(8)
    proof = make_multiproof([1, 5], 8, subtrees(leaves))
    with pytest.raises(ProofError, match="too few hashes for 2 leaves of 8"):
        root_from_multiproof([1, 5], [leaves[1], leaves[5]], 8, proof[:-1])
    with pytest.raises(ProofError, match="too many hashes for 2 leaves of 8"):
        root_from_multiproof([1, 5], [leaves[1], leaves[5]], 8, [*proof, proof[0]])
    with pytest.raises(ProofError):
        root_from_multiproof([1, 5], [leaves[1]], 8, proof)
