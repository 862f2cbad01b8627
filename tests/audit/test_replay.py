"""Replay: the log folded from zero agrees with what is kept beside it, or what differs is named."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
from audited_log import COMPLETED_JOB, RUNNING_JOB
from benchmarks.million_events import write_million
from sqlalchemy import Connection

from ktrdr.audit.checking.replay import replay, state_digest
from ktrdr.audit.checking.tree_check import Leaves, read_leaves
from ktrdr.jobs.state import NO_JOB, JobState, evolve
from ktrdr.store import Store, leases, open_store
from ktrdr.store.rebuild import rebuild


@pytest.fixture(scope="module")
def long_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of jobs with every fate, some of them long enough for snapshots."""
    home = tmp_path_factory.mktemp("long") / "home"
    write_million(home, 4_000)
    return home


def states_of(store: Store) -> dict[str, JobState]:
    """Each job's state by a fold of one event after the other, in the order of submission."""
    reader = store.open_reader()
    states: dict[str, JobState] = {}
    for event in reader.all_events():
        states[event.job_id] = evolve(states.get(event.job_id, NO_JOB), event.recorded)
    reader.close()
    return states


def test_a_long_log_replays_to_what_is_kept_beside_it(long_home: Path) -> None:
    store = open_store(long_home)
    told: list[int] = []
    replayed = replay(store, told.append)
    assert (replayed.events, replayed.differences, replayed.left_out) == (4_000, (), 0)
    assert replayed.state_digest == state_digest(states_of(store).values())
    assert told[-1] == 4_000


def test_a_log_folded_in_shares_has_the_same_digest(long_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(long_home)
    alone = replay(store)
    monkeypatch.setattr("ktrdr.audit.checking.shares.WORTH_A_PROCESS", 1_000)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert replay(store) == alone


def test_the_digest_is_of_the_log_as_it_was_when_the_replay_began(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = replay(store).state_digest
    log = store.open_log()

    def write_and_read(connection: Connection) -> Leaves:
        log.write(partial(leases.expire, job_id=RUNNING_JOB, lease_epoch=1, renewals=0))
        return read_leaves(connection)

    with monkeypatch.context() as changed:
        changed.setattr("ktrdr.audit.checking.replay.read_leaves", write_and_read)
        meanwhile = replay(store)
    log.close()
    assert (meanwhile.events, meanwhile.differences, meanwhile.state_digest) == (13, (), before)
    assert replay(store).state_digest != before


def test_an_empty_log_has_a_digest_too(tmp_path: Path) -> None:
    replayed = replay(open_store(tmp_path / "home"))
    assert (replayed.events, replayed.jobs, replayed.differences) == (0, 0, ())
    assert replayed.state_digest == state_digest([])


@pytest.mark.parametrize(
    ("damage", "difference"),
    [
        ("UPDATE jobs SET status = 'failed' WHERE submitted_position = 1",
         f"jobs of job {COMPLETED_JOB}: found .*failed.*, the log says .*completed"),
        ("UPDATE jobs SET priority = 9 WHERE submitted_position = 1",
         "found {'priority': 9}, the log says {'priority': 0}"),
        ("UPDATE jobs SET state = '[' WHERE submitted_position = 1", f"jobs of job {COMPLETED_JOB}"),
        ("DELETE FROM jobs WHERE submitted_position = 1", f"jobs of job {COMPLETED_JOB}: found None"),
        ("DELETE FROM job_terms WHERE term = 'symbol:AAPL' AND submitted_position = 1",
         f"job_terms of job {COMPLETED_JOB}"),
        ("INSERT INTO job_terms VALUES ('symbol:EVE', 1)", f"job_terms of job {COMPLETED_JOB}: .*EVE"),
        ("INSERT INTO job_terms VALUES ('symbol:EVE', 999)", "job_terms of job submitted at 999: found a row"),
        ("UPDATE leases SET worker = 'w9'", f"leases of job {RUNNING_JOB}: found {{'worker': 'w9'}}"),
        ("DELETE FROM leases", f"leases of job {RUNNING_JOB}: found None"),
        (f"INSERT INTO leases VALUES ('{COMPLETED_JOB}', 1, 'w1', 0, NULL)", f"leases of job {COMPLETED_JOB}"),
        (f"INSERT INTO snapshots VALUES ('{COMPLETED_JOB}', 3, 3, '{{}}')", f"snapshots of job {COMPLETED_JOB}"),
        ("INSERT INTO snapshots VALUES ('nobody', 3, 3, '{}')", "snapshots of job nobody: found a row"),
        ("UPDATE tree SET size = 4", "the tree was grown to 4 events, but the log holds 11"),
        ("UPDATE tree SET edge = zeroblob(96)", "the stored tree is not the one over the events"),
        ("INSERT INTO tree_nodes VALUES (8, 0, zeroblob(32))", "node 0 of level 8"),
    ],
)  # fmt: skip
def test_whatever_is_kept_beside_the_log_is_compared(store: Store, damage: str, difference: str) -> None:
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(damage)
    replayed = replay(store)
    assert not replayed.is_equal
    assert re.search(difference, "\n".join(replayed.differences))


def test_a_damaged_snapshot_of_a_long_job_is_found_and_mended(long_home: Path, tmp_path: Path) -> None:
    store = open_store(long_home)
    with store.engine.connect() as connection:
        run = connection.exec_driver_sql
        job_id, position, state = run("SELECT job_id, position, state FROM snapshots LIMIT 1").one()
        run("UPDATE snapshots SET state = replace(state, '\"seed\"', '\"sead\"') WHERE job_id = ?", (job_id,))
    (difference,) = replay(store).differences
    assert difference.startswith(f"snapshots of job {job_id}: found {{{position}: ")
    assert "seed" in state
    rebuild(store.engine, store.doorbell)
    assert replay(store).is_equal


def test_a_state_whose_keys_are_in_another_order_is_no_difference(store: Store) -> None:
    with store.engine.connect() as connection:
        (state,) = connection.exec_driver_sql("SELECT state FROM jobs WHERE submitted_position = 1").one()
        turned = json.dumps(dict(reversed(json.loads(state).items())))
        connection.exec_driver_sql("UPDATE jobs SET state = ? WHERE submitted_position = 1", (turned,))
    assert replay(store).is_equal
