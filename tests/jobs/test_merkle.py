"""The tree over the log: against the definitions of RFC 6962, its published vectors, and an independent library."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree, verify_consistency

from ktrdr.jobs.merkle import (
    EMPTY_ROOT,
    Edge,
    ProofError,
    SubtreeHash,
    check_consistency,
    consistency_proof,
    inclusion_proof,
    root_from_inclusion,
    root_of,
    tree_root,
)

#: The entries of the reference tree that Certificate Transparency tests its implementations with.
REFERENCE = [
    bytes.fromhex(entry)
    for entry in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
#: Its roots at each size.
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
MOST = 40
ENTRIES = [b"entry %d" % number for number in range(MOST)]


def leaf(entry: bytes) -> bytes:
    return sha256(b"\0" + entry).digest()


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = naive_split(len(leaves))
    return sha256(b"\1" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def naive_split(count: int) -> int:
    split = 1
    while split * 2 < count:
        split *= 2
    return split


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1: PATH."""
    if len(leaves) == 1:
        return []
    split = naive_split(len(leaves))
    if index < split:
        return [*naive_path(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_path(index - split, leaves[split:]), naive_root(leaves[:split])]


def naive_subproof(old: int, leaves: list[bytes], is_whole: bool) -> list[bytes]:
    """RFC 6962, 2.1.2: SUBPROOF."""
    if old == len(leaves):
        return [] if is_whole else [naive_root(leaves)]
    split = naive_split(len(leaves))
    if old <= split:
        return [*naive_subproof(old, leaves[:split], is_whole), naive_root(leaves[split:])]
    return [*naive_subproof(old - split, leaves[split:], False), naive_root(leaves[:split])]


def subtrees(leaves: list[bytes]) -> SubtreeHash:
    return lambda level, index: naive_root(leaves[index << level : (index + 1) << level])


LEAVES = [leaf(entry) for entry in ENTRIES]
SUBTREES = subtrees(LEAVES)
LEAF_LISTS = st.lists(st.binary(max_size=8).map(leaf), max_size=70)
SIZES = range(1, MOST + 1)


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_tree_has_the_published_roots(size: int) -> None:
    assert root_of(map(leaf, REFERENCE[:size])).hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_root_of_the_rfc() -> None:
    assert Edge().root() == root_of([]) == tree_root(0, SUBTREES) == EMPTY_ROOT == naive_root([])


@given(LEAF_LISTS)
def test_a_tree_that_grows_leaf_by_leaf_has_the_roots_of_the_definition(leaves: list[bytes]) -> None:
    edge = Edge()
    for size, one in enumerate(leaves, start=1):
        edge = Edge(edge.size, bytes(edge))  # as from the database
        edge.append(one)
        assert edge.root() == naive_root(leaves[:size]) == tree_root(size, subtrees(leaves))


@given(LEAF_LISTS)
def test_appending_gives_each_complete_subtree_once_and_in_order(leaves: list[bytes]) -> None:
    edge = Edge()
    for size, one in enumerate(leaves, start=1):
        completed = edge.append(one)
        levels = [level for level in range(1, 8) if size % (1 << level) == 0]
        assert completed == [naive_root(leaves[size - (1 << level) : size]) for level in levels]


@pytest.mark.parametrize(("size", "hashes"), [(0, bytes(32)), (3, bytes(32)), (3, bytes(65)), (4, b"")])
def test_an_edge_that_does_not_fit_its_size_is_refused(size: int, hashes: bytes) -> None:
    with pytest.raises(ValueError, match=f"of a tree of {size} leaves holds"):
        Edge(size, hashes)


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_proof_of_small_trees_is_that_of_the_definition_and_leads_to_the_root(size: int) -> None:
    for index in range(size):
        proof = inclusion_proof(index, size, SUBTREES)
        assert proof == naive_path(index, LEAVES[:size])
        assert root_from_inclusion(LEAVES[index], index, size, proof) == naive_root(LEAVES[:size])


@pytest.mark.parametrize("new", SIZES)
def test_every_consistency_proof_of_small_trees_is_that_of_the_definition_and_is_accepted(new: int) -> None:
    for old in range(new + 1):
        proof = consistency_proof(old, new, SUBTREES)
        assert proof == (naive_subproof(old, LEAVES[:new], True) if old else [])
        check_consistency(old, new, naive_root(LEAVES[:old]), naive_root(LEAVES[:new]), proof)


def damaged(proof: list[bytes]) -> list[list[bytes]]:
    """The proof with one hash changed, missing, doubled, and with one more at either end."""
    flipped = [[*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]] for at in range(len(proof))]
    fewer = [[*proof[:at], *proof[at + 1 :]] for at in range(len(proof))]
    doubled = [[*proof[:at], proof[at], *proof[at:]] for at in range(len(proof))]
    return [*flipped, *fewer, *doubled, [*proof, bytes(32)], [bytes(32), *proof]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 31, 33])
def test_no_damaged_inclusion_proof_leads_to_the_root(size: int) -> None:
    root = naive_root(LEAVES[:size])

    def leads_to_root(one: bytes, index: int, proof: list[bytes]) -> bool:
        try:
            return root_from_inclusion(one, index, size, proof) == root
        except ProofError:
            return False

    for index in range(size):
        proof = inclusion_proof(index, size, SUBTREES)
        assert not any(leads_to_root(LEAVES[index], index, wrong) for wrong in damaged(proof))
        assert not any(leads_to_root(LEAVES[index], other, proof) for other in range(size) if other != index)
        assert not leads_to_root(leaf(b"another"), index, proof)


@pytest.mark.parametrize("new", [1, 2, 3, 7, 8, 9, 16, 25])
def test_no_damaged_consistency_proof_is_accepted(new: int) -> None:
    new_root = naive_root(LEAVES[:new])
    for old in range(1, new + 1):
        proof, old_root = consistency_proof(old, new, SUBTREES), naive_root(LEAVES[:old])
        for wrong in damaged(proof):
            with pytest.raises(ProofError):
                check_consistency(old, new, old_root, new_root, wrong)
        for roots in ((leaf(b"another"), new_root), (old_root, leaf(b"another"))):
            with pytest.raises(ProofError):
                check_consistency(old, new, *roots, proof)


def test_a_tree_with_a_changed_leaf_is_not_the_beginning() -> None:
    for changed in range(20):
        other = [*LEAVES[:changed], leaf(b"another"), *LEAVES[changed + 1 :]]
        for old in range(changed + 1, 30):
            proof = consistency_proof(old, 30, subtrees(other))
            with pytest.raises(ProofError):
                check_consistency(old, 30, naive_root(LEAVES[:old]), naive_root(other[:30]), proof)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_a_leaf_outside_of_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"leaf {index} is not in a tree of {size} leaves"):
        inclusion_proof(index, size, SUBTREES)
    with pytest.raises(ProofError, match=f"leaf {index} is not in a tree of {size} leaves"):
        root_from_inclusion(LEAVES[0], index, size, [])


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3)])
def test_a_larger_tree_is_not_the_beginning(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="is not the beginning"):
        consistency_proof(old, new, SUBTREES)
    with pytest.raises(ProofError, match="is not the beginning"):
        check_consistency(old, new, EMPTY_ROOT, EMPTY_ROOT, [])


@pytest.fixture(scope="module")
def independent() -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    for entry in ENTRIES:
        tree.append_entry(entry)
    return tree


@pytest.mark.parametrize("size", SIZES)
def test_roots_and_inclusion_proofs_are_those_of_pymerkle(independent: InmemoryTree, size: int) -> None:
    assert independent.get_root(size) == root_of(LEAVES[:size])
    for index in range(size):
        # Its path begins with the leaf itself, and it counts leaves from 1.
        path = independent.prove_inclusion(index + 1, size).path
        assert path == [LEAVES[index], *inclusion_proof(index, size, SUBTREES)]


@pytest.mark.parametrize("new", SIZES)
def test_pymerkle_and_we_agree_on_what_is_consistent(independent: InmemoryTree, new: int) -> None:
    for old in range(1, new):
        # Its proofs have other hashes than those of the RFC, so each side checks its own against the other's roots.
        ours = root_of(LEAVES[:old]), root_of(LEAVES[:new])
        verify_consistency(*ours, independent.prove_consistency(old, new))
        theirs = independent.get_root(old), independent.get_root(new)
        check_consistency(old, new, *theirs, consistency_proof(old, new, SUBTREES))
