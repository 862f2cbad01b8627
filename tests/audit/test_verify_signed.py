"""`audit verify` and what was signed: checkpoints, beside the log and kept elsewhere, keys, and pruned events."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pysqlite3
import pytest
from audited_log import CANCELLED_JOB, COMPLETED_JOB, EPOCHS, RUNNING_JOB, STAGE, SUBMISSION, write_log

from ktrdr.audit import verify
from ktrdr.audit.signed.notes import ED25519, LogCheckpoint, SignedNote, SigningKey
from ktrdr.audit.signed.signing import rotate_key, sign_checkpoint, signing_key
from ktrdr.jobs import decide
from ktrdr.store import Store, open_store
from ktrdr.store.rebuild import rebuild

LAST = 11


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A log that was signed."""
    store = write_log(tmp_path / "home")
    sign(store)
    return store


def sign(store: Store) -> SignedNote:
    log = store.open_log()
    try:
        return sign_checkpoint(store, log)
    finally:
        log.close()


def cancel_running(store: Store) -> None:
    """Two more events."""
    log = store.open_log()
    try:
        log.write(
            lambda transaction: transaction.change(
                RUNNING_JOB, lambda state: decide.request_cancellation(state, by="anna", reason=""), actor="client:anna"
            )
        )
    finally:
        log.close()


@pytest.fixture
def tamper(store: Store) -> Iterator[Any]:
    """A connection to the database whose triggers are gone."""
    connection = pysqlite3.connect(str(store.home / "ktrdr.db"), isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    yield connection
    connection.close()


def findings(store: Store, *kept: SignedNote, **how: Any) -> str:
    named = [(f"kept note {number}", note) for number, note in enumerate(kept, start=1)]
    return "\n".join(verify(store, kept=named, **how).findings)


def test_a_signed_log_is_sound_and_its_checkpoints_are_counted(store: Store) -> None:
    verdict = verify(store, kept=[("my copy", sign(store))])
    assert verdict.findings == ()
    assert verdict.checkpoints == 2
    assert "1 model and 2 price files against 2 signed checkpoints verified" in verdict.sentence


def test_the_log_may_have_grown_since_it_was_signed(store: Store) -> None:
    kept = sign(store)
    cancel_running(store)
    assert verify(store, kept=[("my copy", kept)]).findings == ()


def test_a_tail_that_was_cut_off_is_shown_by_a_checkpoint_of_it(store: Store, tmp_path: Path) -> None:
    shutil.copytree(store.home, tmp_path / "old")
    cancel_running(store)
    kept = sign(store)
    rolled_back = open_store(tmp_path / "old")
    assert findings(rolled_back) == ""
    assert findings(rolled_back, kept) == (
        "kept note 1 states 12 events, but the log holds 11: its end was cut off, or an old copy was put back"
    )


def test_a_checkpoint_of_another_log_is_none_of_this_one(store: Store, tmp_path: Path) -> None:
    other = write_log(tmp_path / "other")
    assert f"is of the log {signing_key(other).name}, not of this one" in findings(store, sign(other))


def test_a_fork_under_the_same_key_is_shown_by_what_was_kept(store: Store, tamper: Any) -> None:
    kept = sign(store)
    fork = LogCheckpoint(signing_key(store).name, LAST, b"\1" * 32)
    note = SignedNote(fork.text, (signing_key(store).sign(fork.text),))
    assert findings(store, note) == (
        "kept note 1 states another root: one of the first 11 events is not what was signed"
    )
    assert findings(store, kept) == ""


def test_a_stored_checkpoint_by_a_stranger_is_found(store: Store, tamper: Any) -> None:
    stored = LogCheckpoint.parse(sign(store).text)
    stranger = SigningKey(stored.origin, ED25519, bytes(32))
    note = SignedNote(stored.text, (stranger.sign(stored.text),))
    tamper.execute("UPDATE log_checkpoints SET note = ?", (str(note),))
    assert findings(store) == "the checkpoint of size 11 is signed by no key of this log"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("note = replace(note, char(10) || '11' || char(10), char(10) || '10' || char(10))", "is one of size 10"),
        (
            "note = replace(note, char(10) || '11' || char(10), char(10) || '10' || char(10))",
            "signature of .* is wrong",
        ),
        ("note = 'nonsense'", "the checkpoint of size 11 cannot be read: "),
        ("note = x'ff00'", "the checkpoint of size 11 cannot be read: "),
        ("size = 5", "the checkpoint of size 5 is one of size 11"),
    ],
)
def test_a_changed_checkpoint_is_found(store: Store, tamper: Any, change: str, found: str) -> None:
    tamper.execute(f"UPDATE log_checkpoints SET {change}")
    assert re.search(found, findings(store))


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE tree SET size = 10", "the tree was grown to 10 events, but the log holds 11"),
        ("UPDATE tree SET edge = zeroblob(96)", "the stored tree is not the one over the events"),
        ("UPDATE tree SET recorded_at = '2020'", "the tree's newest event is of 2020"),
        ("UPDATE tree SET origin = 'eve'", "is of the log"),
        ("DELETE FROM tree", "the table tree holds 0 rows instead of one"),
        ("INSERT INTO tree_nodes VALUES (8, 0, x'00')", "node 0 of level 8 of the stored tree is not that of"),
        ("UPDATE events SET leaf_hash = x'00' WHERE position = 4", "event 4 has no leaf hash of 32 bytes"),
        ("UPDATE events SET leaf_hash = zeroblob(32) WHERE position = 4", "event 4 .* does not have the hash"),
        ("UPDATE events SET job_id = x'00ff' WHERE position = 4", "event 4 "),
        ("UPDATE events SET data = '[1]' WHERE position = 4", "event 4 .* cannot be read: .* is no JSON object"),
        ("UPDATE events SET data = '' WHERE position = 1", "event 1 .* cannot be read"),
        ("UPDATE events SET schema = 'x' WHERE position = 4", "event 4 .* cannot be read"),
        ("UPDATE events SET data = replace(data, '\"lease_epoch\":1', '\"lease_epoch\":7') WHERE position = 2",
         "event 2 .* gives out lease 7 after lease 0"),
        ("DROP TABLE log_checkpoints", "the database cannot be read any further: no such table"),
        ("DROP TABLE jobs", "the database cannot be read any further: no such table"),
    ],
)  # fmt: skip
def test_damage_to_what_belongs_to_the_tree_is_found(store: Store, tamper: Any, damage: str, found: str) -> None:
    tamper.execute("PRAGMA foreign_keys = OFF")
    tamper.execute(damage)
    assert re.search(found, findings(store))


def test_a_job_given_to_two_at_once_is_found(store: Store, tamper: Any) -> None:
    claim = tamper.execute("SELECT data FROM events WHERE position = 11").fetchone()[0]
    second = claim.replace('"lease_epoch":1', '"lease_epoch":2').replace('"w1"', '"w2"')
    tamper.execute(
        "INSERT INTO events SELECT 12, job_id, 3, type, schema, actor, recorded_at, leaf_hash, ? FROM events "
        "WHERE position = 11",
        (second,),
    )
    assert "gives the job to w2 while w1 holds it under lease 1" in findings(store)


def test_the_key_that_was_kept_elsewhere_decides_whom_to_believe(store: Store, tmp_path: Path) -> None:
    key = signing_key(store).verifier
    assert findings(store, sign(store), key=key) == ""
    stranger = SigningKey(key.name, ED25519, bytes(32)).verifier
    assert findings(store, key=stranger) == "the checkpoint of size 11 is signed by no key of this log"


def test_who_trusts_an_old_key_is_led_to_the_new_one(store: Store) -> None:
    old, kept = signing_key(store).verifier, sign(store)
    log = store.open_log()
    rotate_key(store, log)
    log.close()
    cancel_running(store)
    new = sign(store)
    assert findings(store, kept, new, key=old) == ""


def test_a_key_that_is_gone_or_garbled_is_a_finding(store: Store) -> None:
    (store.home / "audit" / "signing.key").write_text("nonsense")
    assert "the keys of this log cannot be read: " in findings(store)
    shutil.rmtree(store.home / "audit")
    assert findings(store) == "the checkpoint of size 11 is signed by no key of this log"
    assert not (store.home / "audit").exists()


def test_pruned_events_are_told_and_sound(store: Store, tamper: Any) -> None:
    tamper.execute("UPDATE events SET data = '' WHERE position IN (?, ?)", (STAGE, EPOCHS))
    rebuild(store.engine, store.doorbell)
    verdict = verify(store, kept=[("mine", sign(store))])
    assert verdict.findings == ()
    assert verdict.pruned == 2
    assert "(2 events pruned to the hash)" in verdict.sentence


def test_an_event_of_a_job_that_goes_on_must_not_be_empty(store: Store, tamper: Any) -> None:
    tamper.execute("DELETE FROM events WHERE position = 6")
    tamper.execute("UPDATE events SET data = '' WHERE position = ?", (EPOCHS,))
    assert f"event {EPOCHS} of job {COMPLETED_JOB} was emptied, but the job has not ended" in findings(store)


def test_nothing_but_progress_may_be_empty(store: Store, tamper: Any) -> None:
    tamper.execute("UPDATE events SET data = '' WHERE position = ?", (SUBMISSION,))
    assert f"event {SUBMISSION} (JobSubmitted of job {COMPLETED_JOB}) cannot be read" in findings(store)


def test_a_large_log_is_verified_by_several_processes(
    store: Store, monkeypatch: pytest.MonkeyPatch, tamper: Any
) -> None:
    monkeypatch.setattr("ktrdr.audit.checking.shares.WORTH_A_PROCESS", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    seen: list[int] = []
    verdict = verify(store, seen.append)
    assert (verdict.findings, verdict.events, verdict.jobs) == ((), LAST, 3)
    assert seen[-1] == LAST
    tamper.execute("UPDATE jobs SET status = 'failed' WHERE job_id = ?", (CANCELLED_JOB,))
    tamper.execute("UPDATE events SET actor = 'eve' WHERE position = 2")
    verdict = verify(store)
    assert [finding.split(":")[0] for finding in verdict.findings] == [
        f"event 2 (JobClaimed of job {COMPLETED_JOB}) does not have the hash that was recorded with it",
        f"jobs of job {CANCELLED_JOB}",
    ]


def test_what_cannot_be_read_in_another_process_is_a_finding(
    store: Store, monkeypatch: pytest.MonkeyPatch, tamper: Any
) -> None:
    monkeypatch.setattr("ktrdr.audit.checking.shares.WORTH_A_PROCESS", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    tamper.execute("PRAGMA foreign_keys = OFF")
    tamper.execute("DROP TABLE leases")
    assert "the database cannot be read any further: no such table: leases" in findings(store)
