"""Signing the log: one key whoever comes first, what is refused, rotation, and the copy that is kept elsewhere."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from audited_log import CANCELLED_JOB, COMPLETED_JOB, END, grow, tamper

from ktrdr.audit.signed import signing
from ktrdr.audit.signed.notes import ED25519, LogCheckpoint, NoteError, SignedNote, SigningKey, notes_in
from ktrdr.audit.signed.proofs import EventProof, prove_job
from ktrdr.audit.signed.publishing import Publisher, read_failures
from ktrdr.audit.signed.push import PushError, push
from ktrdr.audit.signed.signing import (
    SigningError,
    checkpoint_covering,
    latest_checkpoint,
    published_keys,
    rotate_key,
    rotation_notes,
    sign_checkpoint,
    signing_key,
    trusted_keys,
)
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.merkle import ProofError
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.store import Store, open_store
from ktrdr.store.log import Log
from ktrdr.store.tree import read_head

ATTACKER = SigningKey("ktrdr.local/attacker", ED25519, b"a" * 32)


def stated(note: SignedNote | None) -> LogCheckpoint:
    assert note is not None
    return LogCheckpoint.parse(note.text)


def test_a_checkpoint_states_the_log_as_it_is_and_is_stored(store: Store, log: Log) -> None:
    note = sign_checkpoint(store, log)
    with store.engine.connect() as connection:
        head = read_head(connection)
        assert latest_checkpoint(connection) == note
        assert checkpoint_covering(connection, head.size) == checkpoint_covering(connection, 1) == note
        assert checkpoint_covering(connection, head.size + 1) is None
    assert stated(note) == LogCheckpoint(head.origin, head.size, head.root)
    assert note.signers(published_keys(store)) == [signing_key(store).verifier]


def test_a_log_that_has_not_grown_is_not_signed_again(store: Store, log: Log) -> None:
    note = sign_checkpoint(store, log)
    assert sign_checkpoint(store, log) == note
    grow(log)
    assert stated(sign_checkpoint(store, log)).size == stated(note).size + 1
    with store.engine.connect() as connection:
        assert stated(checkpoint_covering(connection, 1)) == stated(note)
        assert stated(latest_checkpoint(connection)).size == stated(note).size + 1


def test_an_empty_log_can_be_signed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    log = store.open_log()
    assert stated(sign_checkpoint(store, log)).size == 0
    log.close()


def test_only_its_owner_may_read_the_key(store: Store) -> None:
    signing_key(store)
    file = store.home / "audit" / "signing.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_processes_that_come_first_at_once_make_one_key(store: Store) -> None:
    program = (
        "import sys, pathlib; from ktrdr.store import open_store; from ktrdr.audit.signed.signing import signing_key\n"
        "store = open_store(pathlib.Path(sys.argv[1])); print('ready', flush=True); sys.stdin.readline()\n"
        "print(signing_key(store).verifier)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(store.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = {process.communicate(timeout=300)[0].strip() for process in processes}
    assert found == {str(signing_key(store).verifier)}


def test_a_key_of_another_log_is_not_used(store: Store, tmp_path: Path, log: Log) -> None:
    other = open_store(tmp_path / "other")
    signing_key(other)
    (store.home / "audit").mkdir()
    shutil.copy(other.home / "audit" / "signing.key", store.home / "audit" / "signing.key")
    with pytest.raises(SigningError, match="is the key of the log"):
        sign_checkpoint(store, log)


@pytest.mark.parametrize("content", ["", "no key\n", "\n\n\n"])
def test_a_damaged_key_is_told_of_and_not_replaced(store: Store, content: str) -> None:
    signing_key(store)
    file = store.home / "audit" / "signing.key"
    file.write_text(content)
    with pytest.raises(SigningError, match=r"cannot be used|does not hold a key") as told:
        signing_key(store)
    assert told.value.fix
    assert file.read_text() == content


def test_a_log_that_was_cut_off_after_it_was_signed_is_not_signed(store: Store, log: Log, tmp_path: Path) -> None:
    copy = tmp_path / "old.db"
    with store.engine.connect() as connection:
        connection.exec_driver_sql(f"VACUUM INTO '{copy}'")
    grow(log)
    note = str(sign_checkpoint(store, log))
    log.close()
    for suffix in ("-wal", "-shm"):
        (store.home / f"ktrdr.db{suffix}").unlink(missing_ok=True)
    shutil.copy(copy, store.home / "ktrdr.db")
    old_log = store.open_log()
    with store.engine.connect() as connection:  # whoever puts back an old log leaves the newest checkpoint, or else…
        connection.exec_driver_sql(
            "INSERT INTO log_checkpoints VALUES (?, ?, '')", (stated(SignedNote.parse(note)).size, note)
        )
    with pytest.raises(SigningError, match="its end was cut off"):
        sign_checkpoint(store, old_log)
    old_log.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET leaf_hash = zeroblob(32) WHERE position = 3",
        "DELETE FROM events WHERE position = 3",
    ],
)
def test_a_log_that_was_changed_after_it_was_signed_is_not_signed_again(store: Store, log: Log, change: str) -> None:
    sign_checkpoint(store, log)
    grow(log)
    tamper(store, change)
    with pytest.raises(SigningError, match="is not what was signed"):
        sign_checkpoint(store, log)


def test_whoever_trusts_the_first_key_can_follow_every_rotation(store: Store, log: Log) -> None:
    first = signing_key(store).verifier
    handovers = [rotate_key(store, log) for _ in range(3)]
    grow(log)
    note = sign_checkpoint(store, log)
    keys = published_keys(store)
    assert len(set(keys)) == 4
    assert keys[0] == first
    assert keys[-1] == signing_key(store).verifier
    assert rotation_notes(store) == handovers
    assert [handover.signers(keys) for handover in handovers] == [keys[at : at + 2] for at in range(3)]
    assert trusted_keys(first, rotation_notes(store)) == keys
    assert trusted_keys(keys[2], rotation_notes(store)) == keys[2:]
    assert note.signers(keys) == [keys[-1]]


def test_a_handover_is_a_checkpoint_of_the_log_too(store: Store, log: Log) -> None:
    before = sign_checkpoint(store, log)
    handover = rotate_key(store, log)
    assert stated(handover) == stated(before)
    with store.engine.connect() as connection:
        assert latest_checkpoint(connection) == handover
    assert sign_checkpoint(store, log) == handover


def test_the_old_secret_is_gone_after_a_rotation(store: Store, log: Log) -> None:
    old = signing_key(store).to_text()
    rotate_key(store, log)
    files = [path for path in store.home.rglob("*") if path.is_file()]
    assert not [path for path in files if old.encode() in path.read_bytes()]


@pytest.mark.parametrize("written", ["before the handover was signed", "before the old key was gone"])
def test_a_rotation_that_was_interrupted_is_finished_by_the_next_signature(
    store: Store, log: Log, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    first = signing_key(store).verifier
    write_keys = signing._write_keys
    if written == "before the old key was gone":

        def write(store: Store, keys: list[SigningKey]) -> None:
            if len(keys) == 1:
                raise OSError("the power is gone")
            write_keys(store, keys)

        monkeypatch.setattr(signing, "_write_keys", write)
    else:
        monkeypatch.setattr(signing, "_sign", lambda *_: (_ for _ in ()).throw(OSError("the power is gone")))
    with pytest.raises(OSError, match="the power is gone"):
        rotate_key(store, log)
    monkeypatch.undo()
    assert signing_key(store).verifier == first
    handover = sign_checkpoint(store, log)
    keys = published_keys(store)
    assert len(keys) == 2
    assert handover.signers(keys) == keys
    assert rotation_notes(store) == [handover]
    assert trusted_keys(first, [handover]) == [first, signing_key(store).verifier]


def test_a_handover_without_the_signatures_of_both_keys_leads_nowhere(store: Store, log: Log) -> None:
    first = signing_key(store)
    stranger = SigningKey(first.name, ED25519, b"s" * 32)
    checkpoint = stated(sign_checkpoint(store, log)).text
    naming = f"{checkpoint}key-rotation {first.verifier} {stranger.verifier}\n"
    for signers in ([first], [stranger], []):
        note = SignedNote(naming, tuple(key.sign(naming) for key in signers))
        assert trusted_keys(first.verifier, [note]) == [first.verifier]
    # Both signed the same checkpoint, but the old key says nothing of the new one.
    note = SignedNote(checkpoint, (first.sign(checkpoint), stranger.sign(checkpoint)))
    assert trusted_keys(first.verifier, [note]) == [first.verifier]
    forged = SignedNote(naming, (stranger.sign(naming), first.sign(checkpoint)))
    with pytest.raises(NoteError, match="is wrong"):
        trusted_keys(first.verifier, [forged])


def test_a_proof_of_a_job_verifies_alone(store: Store, log: Log) -> None:
    proof = EventProof.parse(str(prove_job(store, log, COMPLETED_JOB)))
    event, signers = proof.check(published_keys(store))
    assert (event["type"], event["job_id"], event["position"]) == ("JobCompleted", COMPLETED_JOB, END)
    assert signers == published_keys(store)


def test_a_job_that_is_covered_already_is_not_signed_anew(store: Store, log: Log) -> None:
    first = prove_job(store, log, COMPLETED_JOB)
    grow(log)
    assert prove_job(store, log, CANCELLED_JOB).checkpoint == first.checkpoint


def test_no_changed_proof_is_accepted(store: Store, log: Log) -> None:
    keys = published_keys(store)
    lines = str(prove_job(store, log, COMPLETED_JOB)).split("\n")
    for at, line in enumerate(lines):
        changes = {line[:place] + ("B" if char != "B" else "C") + line[place + 1 :] for place, char in enumerate(line)}
        doubled = {f"{line}\n{line}"} if line != lines[-2] else set()  # a signature may well be there twice
        for changed in {*changes, line[1:], *doubled} - {line}:
            with pytest.raises((ProofError, NoteError)):
                EventProof.parse("\n".join([*lines[:at], changed, *lines[at + 1 :]])).check(keys)


def test_a_proof_that_nobody_who_is_trusted_has_signed_is_refused(store: Store, log: Log) -> None:
    proof = prove_job(store, log, COMPLETED_JOB)
    with pytest.raises(ProofError, match="is not signed by any key"):
        proof.check([ATTACKER.verifier])


def test_a_job_that_is_not_there_has_no_proof(store: Store, log: Log) -> None:
    with pytest.raises(UnknownJobError):
        prove_job(store, log, make_job_id(1, bytes(10)))


def test_the_publisher_makes_the_key_although_there_is_nothing_to_sign(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    log = store.open_log()
    Publisher(store, log, copy=None, witnesses=[])()
    assert (store.home / "audit" / "signing.key").exists()
    with store.engine.connect() as connection:
        assert latest_checkpoint(connection) is None
    log.close()


def test_the_copy_grows_by_each_checkpoint_once(store: Store, log: Log, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere"
    publish = Publisher(store, log, copy=str(file), witnesses=[])
    for _ in range(3):
        publish()
        publish()
        grow(log)
    Publisher(store, log, copy=f"file://{file}", witnesses=[])()
    kept = notes_in(file.read_text())
    first = stated(kept[0]).size
    assert [stated(note).size for note in kept] == [first, first + 1, first + 2, first + 3]
    assert all(note.signers(published_keys(store)) for note in kept)
    assert read_failures(store) == {}


def test_a_copy_that_fails_keeps_nothing_from_being_signed_and_is_tried_again(
    store: Store, log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "elsewhere" / "checkpoints"
    publish = Publisher(store, log, copy=str(file), witnesses=[])
    publish()
    publish()
    with store.engine.connect() as connection:
        assert latest_checkpoint(connection) is not None
    assert "did not take the checkpoint" in read_failures(store)[str(file)]
    assert len(caplog.records) == 1
    file.parent.mkdir()
    publish()
    assert read_failures(store) == {}
    assert len(notes_in(file.read_text())) == 1


def test_after_half_a_checkpoint_the_copy_goes_on(store: Store, log: Log, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere"
    push(sign_checkpoint(store, log), str(file))
    whole = file.read_bytes()
    grow(log)
    push(sign_checkpoint(store, log), str(file))
    file.write_bytes(file.read_bytes()[:-60])
    grow(log)
    newest = sign_checkpoint(store, log)
    push(newest, str(file))
    assert file.read_bytes().startswith(whole)
    assert notes_in(file.read_text())[-1] == newest


def test_a_copy_that_knows_a_longer_log_is_never_added_to(store: Store, log: Log, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere"
    old = sign_checkpoint(store, log)
    grow(log)
    push(sign_checkpoint(store, log), str(file))
    before = file.read_bytes()
    with pytest.raises(PushError, match="the log was changed or cut off"):
        push(old, str(file))
    assert file.read_bytes() == before


def test_a_log_that_was_rewritten_and_signed_again_does_not_agree_with_the_copy(
    store: Store, log: Log, tmp_path: Path
) -> None:
    file = tmp_path / "elsewhere"
    Publisher(store, log, copy=str(file), witnesses=[])()
    before = file.read_bytes()
    tamper(store, "UPDATE events SET leaf_hash = zeroblob(32) WHERE position = 3", "DELETE FROM log_checkpoints")
    grow(log)
    Publisher(store, log, copy=str(file), witnesses=[])()
    assert "is not what was signed" in read_failures(store)[str(file)]
    assert file.read_bytes() == before


class Elsewhere(BaseHTTPRequestHandler):
    """Keeps what is PUT, and never replaces it."""

    kept: dict[str, bytes]

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        is_new = self.path not in self.kept
        assert self.headers["If-None-Match"] == "*"
        self.kept.setdefault(self.path, content)
        self.send_response(201 if is_new else 412)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        content = self.kept[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *_: object) -> None:
        """Prints nothing."""


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, dict[str, bytes]]]:
    kept: dict[str, bytes] = {}
    server = HTTPServer(("127.0.0.1", 0), type("Kept", (Elsewhere,), {"kept": kept}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/log", kept
    server.shutdown()
    thread.join()
    server.server_close()


def test_checkpoints_are_put_below_a_url_and_never_replaced(
    store: Store, log: Log, elsewhere: tuple[str, dict[str, bytes]]
) -> None:
    url, kept = elsewhere
    publish = Publisher(store, log, copy=url, witnesses=[])
    publish()
    with store.engine.connect() as connection:
        note = latest_checkpoint(connection)
    assert kept == {f"/log/{stated(note).size}": str(note).encode()}
    Publisher(store, log, copy=url, witnesses=[])()  # as after a restart: the same is there
    assert read_failures(store) == {}
    assert note is not None
    forked = LogCheckpoint(stated(note).origin, stated(note).size, b"f" * 32).text
    with pytest.raises(PushError, match="the log was changed or cut off"):
        push(SignedNote(forked, (signing_key(store).sign(forked),)), url)
    grow(log)
    publish()
    assert len(kept) == 2


def test_a_url_where_nothing_answers_is_told_of(store: Store, log: Log) -> None:
    publish = partial(push, sign_checkpoint(store, log))
    with pytest.raises(PushError, match="did not take the checkpoint"):
        publish("http://127.0.0.1:9/log")
