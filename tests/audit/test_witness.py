"""A witness: the decision as the specification gives it, and a real one that refuses forks and remembers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from audited_log import grow
from running_witness import RunningWitness

from ktrdr.audit.signed.notes import ED25519, LogCheckpoint, Signature, SignedNote, SigningKey
from ktrdr.audit.signed.publishing import AskedWitness, Publisher, parse_witnesses, read_failures
from ktrdr.audit.signed.signing import latest_checkpoint, published_keys, rotate_key, sign_checkpoint, signing_key
from ktrdr.audit.signed.witness import AddCheckpoint, RefusedError, Witness, judge
from ktrdr.jobs.merkle import consistency_proof, root_of
from ktrdr.scheduler import run_scheduler
from ktrdr.settings import read_settings
from ktrdr.store import Store
from ktrdr.store.log import Log
from ktrdr.training.faults import InvalidInputError

ORIGIN = "ktrdr.local/log"
KEY = SigningKey(ORIGIN, ED25519, b"k" * 32)
STRANGER = SigningKey(ORIGIN, ED25519, b"s" * 32)
LEAVES = [sha256(b"\0%d" % number).digest() for number in range(20)]
#: The same beginning, and another end.
FORKED = [*LEAVES[:7], *(sha256(b"\0fork %d" % number).digest() for number in range(13))]


def checkpoint(size: int, leaves: Sequence[bytes] = LEAVES, origin: str = ORIGIN) -> LogCheckpoint:
    return LogCheckpoint(origin, size, root_of(leaves[:size]))


def ask(
    old: int, size: int, leaves: Sequence[bytes] = LEAVES, *, origin: str = ORIGIN, key: SigningKey = KEY
) -> AddCheckpoint:
    """The right request for a log, but for what the test changes."""
    text = checkpoint(size, leaves, origin).text
    proof = consistency_proof(
        min(old, size), size, lambda level, index: root_of(leaves[index << level : (index + 1) << level])
    )
    return AddCheckpoint(old, tuple(proof), SignedNote(text, (key.sign(text),)))


def refused(asked: AddCheckpoint, known: LogCheckpoint | None) -> RefusedError:
    with pytest.raises(RefusedError) as told:
        judge(asked, known, [KEY.verifier])
    return told.value


def test_a_log_that_goes_on_is_cosigned() -> None:
    for known in range(20):
        for size in range(known, 21):
            before = checkpoint(known) if known else None
            assert judge(ask(known, size), before, [KEY.verifier]) == checkpoint(size)


def test_an_unknown_log_is_404() -> None:
    assert refused(ask(0, 5, origin="another"), None).status == 404


def test_a_checkpoint_that_its_log_has_not_signed_is_403() -> None:
    assert refused(ask(0, 5, key=STRANGER), None).status == 403
    asked, other = ask(0, 5), ask(0, 6)
    assert refused(AddCheckpoint(0, (), SignedNote(asked.note.text, other.note.signatures)), None).status == 403


def test_a_size_that_is_not_known_is_409_and_the_known_one_is_told() -> None:
    for old in (0, 3, 5, 7):
        told = refused(ask(old, 9), checkpoint(6))
        assert (told.status, told.body, told.media_type) == (409, "6\n", "text/x.tlog.size")


def test_another_log_of_the_known_size_is_409() -> None:
    assert refused(ask(9, 9, FORKED), checkpoint(9)).status == 409


def test_an_old_size_beyond_the_new_one_is_400() -> None:
    assert refused(ask(9, 5), checkpoint(9)).status == 400


def test_a_fork_is_422_whatever_its_proof() -> None:
    for size in range(10, 20):
        assert refused(ask(9, size, FORKED), checkpoint(9)).status == 422
        honest = ask(9, size)
        assert refused(AddCheckpoint(9, honest.proof, ask(9, size, FORKED).note), checkpoint(9)).status == 422


@pytest.mark.parametrize(
    "body",
    [
        b"", b"old 0\n", b"old -1\n\n", b"old 01\n\n", b"size 0\n\n", b"old 0\nAAAA", b"\xff\n\n",
        b"old 0\n!\n\n" + str(ask(0, 5).note).encode(),
        b"old 0\n" + 64 * (b"A" * 43 + b"=\n") + b"\n" + str(ask(0, 5).note).encode(),
        b"old 0\n\nno note",
        b"old 0\n\nno checkpoint\n\n\xe2\x80\x94 name AAAAAAAAAAA=\n",
    ],
)  # fmt: skip
def test_what_is_no_request_is_400(body: bytes) -> None:
    with pytest.raises(RefusedError) as told:
        judge(AddCheckpoint.parse(body), None, [KEY.verifier])
    assert told.value.status == 400


def test_a_request_survives_its_text() -> None:
    asked = ask(5, 13)
    assert AddCheckpoint.parse(str(asked).encode()) == asked


def test_a_witness_remembers_across_restarts_and_never_goes_back(tmp_path: Path) -> None:
    first = Witness(tmp_path, [KEY.verifier], lambda: 1_790_000_000.9)
    line = first.add(str(ask(0, 9)).encode())
    note = ask(0, 9).note.with_signatures([Signature.parse(line.rstrip())])
    assert note.signers([first.key]) == [first.key]
    first.close()
    again = Witness(tmp_path, [KEY.verifier], lambda: 0)
    assert again.key == first.key
    for wrong in (ask(0, 5), ask(0, 9), ask(0, 12, FORKED), ask(9, 12, FORKED), ask(9, 9, FORKED)):
        with pytest.raises(RefusedError):
            again.add(str(wrong).encode())
    again.add(str(ask(9, 12)).encode())
    again.close()


def test_two_witnesses_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Witness(tmp_path, [KEY.verifier], lambda: 0)
    with pytest.raises(BlockingIOError):
        Witness(tmp_path, [KEY.verifier], lambda: 0)
    first.close()


def test_the_key_of_a_witness_is_its_own_secret(tmp_path: Path) -> None:
    Witness(tmp_path, [KEY.verifier], lambda: 0).close()
    assert (tmp_path / "witness.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["http://elsewhere", "elsewhere=witness+1a2b3c4d+BAAA", "http://elsewhere=BAAA"])
def test_a_setting_that_names_no_witness_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as told:
        read_settings({"KTRDR_WITNESSES": text})
    assert "URL=KEY" in told.value.faults[0].fix


def test_a_scheduler_does_not_start_with_a_damaged_key_of_a_witness(store: Store) -> None:
    settings = read_settings({"KTRDR_HOME": str(store.home), "KTRDR_WITNESSES": "http://elsewhere=name+1a2b3c4d+BAAA"})
    with pytest.raises(InvalidInputError) as told:
        run_scheduler(store, settings)
    assert told.value.faults[0].path == ("KTRDR_WITNESSES",)


@pytest.mark.parametrize("text", ["elsewhere", "ftp://elsewhere/x", "file://host/x", "http://"])
def test_a_setting_that_names_no_place_for_a_copy_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as told:
        read_settings({"KTRDR_CHECKPOINT_PUSH": text})
    assert told.value.faults[0].path == ("KTRDR_CHECKPOINT_PUSH",)


def test_a_text_that_names_witnesses_is_read(tmp_path: Path) -> None:
    witness = Witness(tmp_path, [KEY.verifier], lambda: 0)
    one = f"http://127.0.0.1:1={witness.key}"
    assert parse_witnesses(f"{one}, {one}") == [AskedWitness("http://127.0.0.1:1", witness.key)] * 2
    assert parse_witnesses("") == []
    witness.close()


@pytest.fixture
def witness(tmp_path: Path, store: Store) -> Iterator[RunningWitness]:
    running = RunningWitness(tmp_path / "witness", signing_key(store).verifier)
    yield running
    running.close()


def newest(store: Store) -> SignedNote:
    with store.engine.connect() as connection:
        note = latest_checkpoint(connection)
    assert note is not None
    return note


def test_the_service_adds_the_cosignature_of_a_running_witness(store: Store, log: Log, witness: RunningWitness) -> None:
    asked = [AskedWitness(witness.url, witness.key)]
    publish = Publisher(store, log, copy=None, witnesses=asked)
    for _ in range(3):
        publish()
        assert newest(store).signers([*published_keys(store), witness.key]) == [*published_keys(store), witness.key]
        grow(log)
    Publisher(store, log, copy=None, witnesses=asked)()  # one that does not know what the witness knows
    assert witness.key in newest(store).signers([witness.key])
    assert len(newest(store).signatures) == 2
    assert read_failures(store) == {}


def test_a_fork_that_is_signed_by_the_same_key_is_refused_by_a_running_witness(
    store: Store, log: Log, witness: RunningWitness
) -> None:
    key = signing_key(store)
    for asked, status in (
        (ask(0, 9, origin=key.name, key=key), 200),
        (ask(9, 12, FORKED, origin=key.name, key=key), 422),
        (ask(9, 9, FORKED, origin=key.name, key=key), 409),
        (ask(0, 12, FORKED, origin=key.name, key=key), 409),
        (ask(0, 5, origin=key.name, key=key), 409),
        (ask(9, 12, origin=key.name, key=key), 200),
    ):
        assert witness.add(asked).status_code == status
    # To that witness the log of this service is a fork as well, and the service says so.
    Publisher(store, log, copy=None, witnesses=[AskedWitness(witness.url, witness.key)])()
    assert witness.url in read_failures(store)
    assert newest(store).signers([witness.key]) == []


def test_a_running_witness_follows_a_rotation_that_it_was_not_told_of(
    store: Store, log: Log, witness: RunningWitness
) -> None:
    asked = [AskedWitness(witness.url, witness.key)]
    Publisher(store, log, copy=None, witnesses=asked)()
    for _ in range(2):
        grow(log)
        rotate_key(store, log)
    grow(log)
    sign_checkpoint(store, log)
    Publisher(store, log, copy=None, witnesses=asked)()
    assert read_failures(store) == {}
    assert newest(store).signers([witness.key]) == [witness.key]


def test_a_witness_that_is_not_there_keeps_nothing_from_being_signed(store: Store, log: Log, tmp_path: Path) -> None:
    gone = Witness(tmp_path / "gone", [KEY.verifier], lambda: 0)
    Publisher(store, log, copy=None, witnesses=[AskedWitness("http://127.0.0.1:9", gone.key)])()
    gone.close()
    assert newest(store).signers(published_keys(store))
    assert "it cannot be reached" in read_failures(store)["http://127.0.0.1:9"]


def test_a_request_that_is_too_large_is_refused(witness: RunningWitness) -> None:
    assert witness.add("x" * 70_000).status_code == 413
