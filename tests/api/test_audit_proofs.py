"""Checkpoints, keys and proofs over HTTP and through the commands, from a service that runs."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from audited_log import COMPLETED_JOB, END, tamper, write_log
from cli.commands import Ran, ktrdr
from running_service import RunningService, wait_until
from running_witness import RunningWitness

from ktrdr.audit.signed.notes import LogCheckpoint, SignedNote, SigningKey, VerifierKey, notes_in
from ktrdr.audit.signed.proofs import EventProof
from ktrdr.audit.signed.signing import rotate_key, trusted_keys
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.merkle import check_consistency, root_from_inclusion
from ktrdr.store import open_store


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The API alone, over a small log; `submit` makes it grow."""
    running = RunningService(tmp_path_factory.mktemp("audited") / "home")
    write_log(running.home)
    running.start("serve")
    yield running
    running.close()


def sign(service: RunningService) -> SignedNote:
    return SignedNote.parse(service.http.post("/audit/checkpoints").raise_for_status().text)


def size_of(note: SignedNote) -> int:
    return LogCheckpoint.parse(note.text).size


def keys_of(service: RunningService) -> list[VerifierKey]:
    return [VerifierKey.parse(key) for key in service.http.get("/audit/keys").raise_for_status().json()["keys"]]


def grow(service: RunningService) -> None:
    """One cancelled submission more."""
    service.import_samples()
    service.client.cancel(service.client.submit("trend_follower", symbols=["AAPL"])["id"])


def position_of(service: RunningService) -> int:
    return int(httpx2.get(f"{service.url}/readyz").json()["position"])


def kept_in(copy: Path) -> list[SignedNote]:
    return notes_in(copy.read_text()) if copy.exists() else []


def decoded(hashes: list[str]) -> list[bytes]:
    return [b64decode(one) for one in hashes]


def test_a_log_that_was_never_signed_has_no_newest_checkpoint(own_service: RunningService) -> None:
    own_service.start("serve")
    answer = own_service.http.get("/audit/checkpoints/latest")
    assert answer.status_code == 404
    assert "ktrdr audit checkpoint" in answer.json()["fix"]
    assert own_service.http.get("/audit/checkpoints").json() == {
        "checkpoints": [], "next_before": None, "failures": {},
    }  # fmt: skip


def test_a_checkpoint_is_signed_on_demand_and_served_as_it_is(audited: RunningService) -> None:
    note = sign(audited)
    answer = audited.http.get("/audit/checkpoints/latest")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert SignedNote.parse(answer.text) == note == sign(audited)
    assert note.signers(keys_of(audited)) == keys_of(audited)


def test_checkpoints_are_listed_page_by_page_newest_first(audited: RunningService) -> None:
    for _ in range(3):
        newest = sign(audited)
        grow(audited)
    page = audited.http.get("/audit/checkpoints", params={"limit": 2}).json()
    assert page["checkpoints"][0]["size"] == size_of(newest)
    assert page["checkpoints"][0]["note"] == str(newest)
    assert page["checkpoints"][0]["signers"] == [keys_of(audited)[0].name]
    rest = audited.http.get("/audit/checkpoints", params={"before": page["next_before"]}).json()
    sizes = [one["size"] for one in (*page["checkpoints"], *rest["checkpoints"])]
    assert sizes == sorted(set(sizes), reverse=True)
    assert len(sizes) >= 3
    assert rest["next_before"] is None


def test_every_event_has_an_inclusion_proof_in_every_tree_that_holds_it(audited: RunningService) -> None:
    newest = size_of(sign(audited))
    for position in range(1, newest + 1):
        for size in {position, newest, min(newest, position + 3)}:
            proof = audited.http.get("/audit/inclusion", params={"position": position, "size": size}).json()
            assert (proof["position"], proof["index"], proof["size"]) == (position, position - 1, size)
            root = root_from_inclusion(b64decode(proof["leaf_hash"]), position - 1, size, decoded(proof["proof"]))
            assert root == b64decode(proof["root"])
            if proof["checkpoint"] is not None:
                assert LogCheckpoint.parse(SignedNote.parse(proof["checkpoint"]).text).root == root


def test_without_a_size_the_smallest_signed_tree_is_taken(audited: RunningService) -> None:
    note = sign(audited)
    grow(audited)
    sign(audited)
    proof = audited.http.get("/audit/inclusion", params={"position": size_of(note)}).json()
    assert (proof["size"], proof["checkpoint"]) == (size_of(note), str(note))


def test_earlier_trees_are_shown_to_be_beginnings_of_later_ones(audited: RunningService) -> None:
    newest = sign(audited)
    for old in range(size_of(newest) + 1):
        proof = audited.http.get("/audit/consistency", params={"from": old}).json()
        assert (proof["from"], proof["to"], proof["checkpoint"]) == (old, size_of(newest), str(newest))
        roots = b64decode(proof["from_root"]), b64decode(proof["to_root"])
        check_consistency(old, size_of(newest), *roots, decoded(proof["proof"]))


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        ("inclusion", {"position": 10**6}, "position"),
        ("inclusion", {"position": 1, "size": 10**6}, "size"),
        ("inclusion", {"position": 5, "size": 4}, "position"),
        ("inclusion", {"position": 0}, "position"),
        ("inclusion", {}, "position"),
        ("consistency", {"from": 10**6}, "from"),
        ("consistency", {"from": 1, "to": 10**6}, "to"),
        ("consistency", {"from": 5, "to": 4}, "from"),
        ("consistency", {"from": -1}, "from"),
        ("consistency", {}, "from"),
        ("checkpoints", {"limit": 0}, "limit"),
    ],
)
def test_what_is_beyond_the_log_is_named(audited: RunningService, path: str, query: dict[str, int], names: str) -> None:
    answer = audited.http.get(f"/audit/{path}", params=query)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [names]


def test_the_proof_of_a_job_is_a_text_that_verifies_alone(audited: RunningService) -> None:
    answer = audited.http.get(f"/jobs/{COMPLETED_JOB}/proof")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    event, _ = EventProof.parse(answer.text).check(keys_of(audited))
    assert (event["type"], event["position"]) == ("JobCompleted", END)


def test_the_proof_of_a_job_that_nobody_signed_yet_makes_a_checkpoint(audited: RunningService) -> None:
    before = size_of(sign(audited))
    grow(audited)
    job = next(iter(audited.client.jobs(limit=1)))
    proof = EventProof.parse(audited.client.job_proof(job["id"]))
    event, _ = proof.check(keys_of(audited))
    assert (event["type"], event["job_id"]) == ("JobCancelled", job["id"])
    assert size_of(proof.checkpoint) > before


def test_a_job_that_is_not_there_has_no_proof(audited: RunningService) -> None:
    assert audited.http.get(f"/jobs/{make_job_id(1, bytes(10))}/proof").status_code == 404


def test_a_log_that_cannot_be_signed_is_a_conflict_that_says_why(tmp_path: Path) -> None:
    service = RunningService(tmp_path / "home")
    try:
        write_log(service.home)
        service.start("serve")
        sign(service)
        (service.home / "audit" / "signing.key").write_text("damaged\n")
        for answer in (
            service.http.post("/audit/checkpoints"),
            service.http.get("/audit/keys"),
        ):
            assert answer.status_code == 409
            assert "cannot be used" in answer.json()["detail"]
            assert answer.json()["fix"] == "put back a copy of it"
    finally:
        service.close()


def test_a_damaged_log_has_no_proofs_and_says_so(tmp_path: Path) -> None:
    service = RunningService(tmp_path / "home")
    try:
        tamper(write_log(service.home), f"DELETE FROM events WHERE position = {END - 1}")
        service.start("serve")
        for answer in (
            service.http.get(f"/jobs/{COMPLETED_JOB}/proof"),
            service.http.get("/audit/inclusion", params={"position": END - 1}),
            service.http.get("/audit/consistency", params={"from": 1}),
        ):
            assert answer.status_code == 409
            assert "the log is damaged" in answer.json()["detail"]
            assert "ktrdr audit verify" in answer.json()["fix"]
    finally:
        service.close()


def test_the_scheduler_signs_what_was_added_has_it_cosigned_and_keeps_a_copy_elsewhere(
    own_service: RunningService,
) -> None:
    copy = own_service.home.parent / "elsewhere"
    own_service.start("serve")
    sizes = []
    with closing(RunningWitness(own_service.home.parent / "witness", keys_of(own_service)[0])) as witness:
        own_service.start(
            "scheduler",
            KTRDR_SIGN_SECONDS="0.5",
            KTRDR_CHECKPOINT_PUSH=str(copy),
            KTRDR_WITNESSES=f"{witness.url}={witness.key}",
        )
        for _ in range(2):
            grow(own_service)
            sizes.append(position_of(own_service))
            wait_until(lambda: sizes[-1] in [size_of(note) for note in kept_in(copy)])
        own_service.stop("scheduler")
    kept = kept_in(copy)
    signers = [*keys_of(own_service), witness.key]
    assert set(sizes) <= {size_of(note) for note in kept}
    assert [note.signers(signers) for note in kept] == [signers] * len(kept)
    assert own_service.http.get("/audit/checkpoints").json()["failures"] == {}


def test_whoever_trusts_the_first_key_can_follow_what_the_service_serves(own_service: RunningService) -> None:
    own_service.start("serve")
    first = keys_of(own_service)[0]
    store = open_store(own_service.home)
    log = store.open_log()
    for _ in range(2):
        rotate_key(store, log)
    log.close()
    served = own_service.http.get("/audit/keys").json()
    trusted = trusted_keys(first, [SignedNote.parse(note) for note in served["rotations"]])
    assert trusted == keys_of(own_service)
    assert sign(own_service).signers(trusted) == trusted[1:]


def command(service: RunningService, capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    return ktrdr(capsys, "audit", *arguments, "--url", service.url)


def test_a_proof_that_was_written_to_a_file_is_checked_without_the_service(
    audited: RunningService, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "job.tlog-proof"
    assert command(audited, capsys, "proof", COMPLETED_JOB, "-o", file).out == f"{file}\n"
    key = command(audited, capsys, "keys").out.strip()
    checked = ktrdr(capsys, "audit", "check-proof", file, "--key", key, "--url", "http://127.0.0.1:9")
    assert checked.code == 0
    assert f"proved: event {END} is in the log {key.partition('+')[0]}" in checked.out
    by_service = command(audited, capsys, "check-proof", file, "--json")
    assert by_service.json["event"]["type"] == "JobCompleted"
    assert by_service.json["signers"] == [key]
    other = SigningKey(key.partition("+")[0], 1, os.urandom(32)).verifier
    assert ktrdr(capsys, "audit", "check-proof", file, "--key", other).code == 1
    file.write_text(file.read_text().replace("index ", "index 1"))
    damaged = ktrdr(capsys, "audit", "check-proof", file, "--key", key)
    assert damaged.code == 1
    assert "proves nothing" in damaged.err


def test_an_old_checkpoint_shows_that_the_log_only_grew(
    audited: RunningService, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "old.checkpoint"
    assert command(audited, capsys, "checkpoint", "-o", file).code == 0
    grow(audited)
    key = command(audited, capsys, "keys", "--json").json["keys"][0]
    assert command(audited, capsys, "consistency", file, "--key", key).out.startswith("consistent: the log of ")
    stated = command(audited, capsys, "checkpoint", "--json").json
    assert SignedNote.parse(stated["note"]).signers([VerifierKey.parse(key)])
    assert command(audited, capsys, "consistency", file, "--json").json["size"] == stated["size"]


@pytest.mark.parametrize(
    ("size", "says"), [(3, "the first 3 events are not what they were"), (10**6, "its end was cut off")]
)
def test_an_old_checkpoint_of_another_history_is_found_inconsistent(
    audited: RunningService, capsys: pytest.CaptureFixture[str], tmp_path: Path, size: int, says: str
) -> None:
    secret = SigningKey.parse((audited.home / "audit" / "signing.key").read_text())
    text = LogCheckpoint(secret.name, size, b"r" * 32).text
    file = tmp_path / "old.checkpoint"
    file.write_text(str(SignedNote(text, (secret.sign(text),))))
    checked = command(audited, capsys, "consistency", file)
    assert checked.code == 1
    assert says in checked.err


def test_the_key_is_rotated_by_a_command_beside_the_service(
    own_service: RunningService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own_service.start("serve")
    monkeypatch.setenv("KTRDR_HOME", str(own_service.home))
    first = command(own_service, capsys, "keys").out.strip()
    file = tmp_path / "old.checkpoint"
    command(own_service, capsys, "checkpoint", "-o", file)
    rotated = ktrdr(capsys, "audit", "rotate-key", "--json").json
    assert command(own_service, capsys, "keys").out.split() == [first, rotated["key"]]
    grow(own_service)
    assert command(own_service, capsys, "consistency", file, "--key", first).code == 0
    assert command(own_service, capsys, "consistency", file, "--key", rotated["key"]).code == 1
