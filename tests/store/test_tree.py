"""The tree that the store keeps is that of all of its events, however many there are."""

from __future__ import annotations

import random

import pytest
from audited_log import tamper
from filled_tree import fill
from job_builders import SUBMITTED
from sqlalchemy import select
from store_steps import new_job_id, raw, submit

from ktrdr.jobs import decide
from ktrdr.jobs.merkle import (
    check_consistency,
    consistency_proof,
    inclusion_proof,
    root_from_inclusion,
    root_of,
    tree_root,
)
from ktrdr.jobs.state import JobState
from ktrdr.store import Store
from ktrdr.store.log import Log, Operation, Transaction
from ktrdr.store.schema import events, tree_nodes
from ktrdr.store.tree import MissingEventsError, read_head, subtree_hashes


def leaves_of(store: Store) -> list[bytes]:
    with store.engine.connect() as connection:
        return list(connection.scalars(select(events.c.leaf_hash).order_by(events.c.position)))


def submission() -> Operation[JobState]:
    job_id = new_job_id()
    return lambda transaction: transaction.change(job_id, lambda state: decide.submit(state, SUBMITTED), actor="test")


def test_the_tree_grows_with_every_append(store: Store, log: Log) -> None:
    for _ in range(20):
        submit(log)
        with store.engine.connect() as connection:
            head = read_head(connection)
        leaves = leaves_of(store)
        assert (head.size, head.root) == (len(leaves), root_of(leaves))


def test_an_append_that_is_refused_leaves_the_tree_as_it_was(store: Store, log: Log) -> None:
    submit(log)
    with store.engine.connect() as connection:
        before = read_head(connection)

    def submit_and_fail(transaction: Transaction) -> None:
        submission()(transaction)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        log.write(submit_and_fail)
    with store.engine.connect() as connection:
        assert read_head(connection) == before


def test_appends_in_groups_of_any_size_give_the_tree_of_all_leaves_beyond_256(store: Store, log: Log) -> None:
    rng, left = random.Random(7), 600
    while left > 0:
        group = min(left, rng.randint(1, 90))
        log.write_all([submission() for _ in range(group)])
        left -= group
    leaves = leaves_of(store)
    with store.engine.connect() as connection:
        head, subtree = read_head(connection), subtree_hashes(connection)
        assert (head.size, head.root) == (600, root_of(leaves))
        assert [tree_root(size, subtree) for size in (1, 255, 256, 257, 512, 600)] == [
            root_of(leaves[:size]) for size in (1, 255, 256, 257, 512, 600)
        ]
        kept = connection.execute(select(tree_nodes.c.level, tree_nodes.c.index, tree_nodes.c.hash)).all()
    assert [tuple(row) for row in kept] == [(8, at, root_of(leaves[256 * at : 256 * at + 256])) for at in range(2)]


def test_proofs_over_more_than_65_536_events_are_made_of_few_kept_hashes(store: Store) -> None:
    count = 66_000
    fill(store, count)
    leaves, rng = leaves_of(store), random.Random(1)
    root = root_of(leaves)
    with store.engine.connect() as connection:
        subtree = subtree_hashes(connection)
        assert read_head(connection).root == tree_root(count, subtree) == root
        for index in [0, 255, 256, 65_535, 65_536, count - 1, *(rng.randrange(count) for _ in range(20))]:
            proof = inclusion_proof(index, count, subtree)
            assert root_from_inclusion(leaves[index], index, count, proof) == root
        for old in [1, 256, 65_536, 65_537, count, *(rng.randint(1, count) for _ in range(10))]:
            proof = consistency_proof(old, count, subtree)
            check_consistency(old, count, root_of(leaves[:old]), root, proof)


def test_a_subtree_that_the_log_does_not_have_whole_is_refused(store: Store, log: Log) -> None:
    submit(log)
    with (
        store.engine.connect() as connection,
        pytest.raises(MissingEventsError, match="from position 1 to 2 not all are there"),
    ):
        subtree_hashes(connection)(1, 0)


def test_proofs_go_on_where_the_log_grew_since_they_began(store: Store, log: Log) -> None:
    submit(log)
    with store.engine.connect() as connection:
        subtree = subtree_hashes(connection)
        assert subtree(0, 0) == leaves_of(store)[0]
        submit(log)
        assert subtree(1, 0) == root_of(leaves_of(store))


def test_where_an_event_is_missing_no_other_takes_its_place_in_a_proof(store: Store) -> None:
    fill(store, 40)
    tamper(store, "DELETE FROM events WHERE position = 11")
    with store.engine.connect() as connection:
        subtree = subtree_hashes(connection)
        assert subtree(0, 9) == leaves_of(store)[9]
        with pytest.raises(MissingEventsError, match="of the events from position 11 to 11 not all are there"):
            subtree(0, 10)
        with pytest.raises(MissingEventsError, match="from position 1 to 32 not all are there"):
            tree_root(40, subtree)


def test_an_installation_has_a_name_of_its_own_that_stays(store: Store, log: Log) -> None:
    with store.engine.connect() as connection:
        before = read_head(connection).origin
    submit(log)
    with store.engine.connect() as connection:
        assert read_head(connection).origin == before
    assert before.startswith("ktrdr.local/")
    assert len(before) == len("ktrdr.local/") + 32
    connection = raw(store)
    assert connection.execute("SELECT count(*) FROM tree").fetchone() == (1,)
    connection.close()
