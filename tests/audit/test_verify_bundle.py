"""`verify.py`, the stand-alone verifier: it runs without our package, and refuses every kind of change to a bundle."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from audited_log import CANCELLED_JOB, COMPLETED_JOB, END, EPOCHS, RUNNING_JOB, write_log
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from job_in_a_bundle import checked, prune_without_archive, with_manifest

from ktrdr.audit.bundle import bundle_files, pack, verifier
from ktrdr.audit.bundle.verifier import ORDER, has_signed
from ktrdr.audit.signed.notes import ED25519, LogCheckpoint, SignedNote, SigningKey, to_base64
from ktrdr.audit.signed.proofs import EventProof
from ktrdr.audit.signed.signing import published_keys
from ktrdr.jobs.merkle import inclusion_proof, root_of
from ktrdr.jobs.multiproof import make_multiproof
from ktrdr.store import Store

Files = dict[str, bytes]

STRANGER = SigningKey("ktrdr.local/elsewhere", ED25519, bytes(range(32)))
#: The programs in a bundle: what they do cannot be checked by running them.
PROGRAMS = ("index.html", "verify.py")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_log(tmp_path_factory.mktemp("verify") / "home")


@pytest.fixture(scope="module")
def files(store: Store) -> Files:
    log = store.open_log()
    files = bundle_files(store, log, COMPLETED_JOB)
    log.close()
    return files


@pytest.fixture(scope="module")
def key(store: Store) -> str:
    return str(published_keys(store)[0])


def run_alone(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs the verifier where nothing but it and the standard library is to be had."""
    shutil.copy(verifier.__file__, folder / "verify.py")
    command = [sys.executable, "-I", "-S", "verify.py", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def write_files(files: Files, folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


# --- The program.


def test_it_is_one_short_file_that_needs_the_standard_library_only() -> None:
    text = Path(verifier.__file__).read_text()
    assert len(text.splitlines()) <= 200
    imported = set(re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE))
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_it_verifies_a_zip_file_and_a_folder(files: Files, key: str, tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_bytes(pack(files))
    write_files(files, tmp_path / "bundle")
    for bundle in ("bundle.zip", "bundle"):
        ran = run_alone(tmp_path, bundle, "--key", key)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.splitlines() == [
            f"ok     the {len(files)} files are those of the manifest",
            f"ok     {END} events of job {COMPLETED_JOB} without a gap; the end is JobCompleted",
            f"ok     they lie under the root that the log {key.partition('+')[0]} had at 11 entries",
            f"ok     the checkpoint is signed by {key}",
            "ok     the 2 files of the model are those that the job made",
            "verified",
        ]


def test_without_a_key_it_says_whose_trust_it_is(files: Files, key: str, tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_bytes(pack(files))
    ran = run_alone(tmp_path, "bundle.zip")
    assert ran.returncode == 0
    assert key in ran.stdout
    last = ran.stdout.splitlines()[-1]
    assert last == "verified, if that is the log's key; say which one you trust with --key"


def test_the_verifier_in_the_bundle_is_this_one(files: Files, tmp_path: Path) -> None:
    with zipfile.ZipFile(_written(tmp_path / "bundle.zip", pack(files))) as archive:
        archive.extractall(tmp_path / "unpacked")
    program = tmp_path / "unpacked" / "verify.py"
    ran = subprocess.run([sys.executable, "-I", program, tmp_path / "unpacked"], capture_output=True, check=False)
    assert ran.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bundle.zip", "--key", str(STRANGER.verifier)], "the checkpoint is not signed by"),
        (["bundle.zip", "--witness", str(STRANGER.verifier)], "not cosigned by every witness"),
        (["nothing.zip"], "it cannot be read"),
        (["verify.py"], "it cannot be read"),
    ],
)
def test_what_is_not_verified_ends_with_one(files: Files, tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "bundle.zip").write_bytes(pack(files))
    ran = run_alone(tmp_path, *arguments)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert ran.stderr.endswith("not verified\n")
    assert "verified" not in ran.stdout


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# --- Ed25519.

#: RFC 8032, section 7.1: public key, message, and the two halves of the signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555",
        "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac",
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "first", "second"), VECTORS)
def test_the_signatures_of_rfc_8032_are_right_and_others_are_not(
    public: str, message: str, first: str, second: str
) -> None:
    given_key, text, right = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(first + second)
    assert has_signed(given_key, text, right)
    assert not has_signed(given_key, text + b"\0", right)
    assert not has_signed(given_key, text, right[:32] + bytes([right[32] ^ 1]) + right[33:])


def accepts(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        return has_signed(public, message, signature)
    except ValueError:  # half of all numbers are no points of the curve
        return False


@settings(deadline=None, max_examples=30)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300), st.integers(0, 511))
def test_it_judges_as_another_implementation_does(seed: bytes, message: bytes, bit: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert has_signed(public, message, signature)
    changed = (int.from_bytes(signature, "little") ^ (1 << bit)).to_bytes(64, "little")
    assert not accepts(public, message, changed)


@settings(deadline=None, max_examples=20)
@given(st.binary(max_size=50))
def test_there_is_one_form_of_a_signature(message: bytes) -> None:
    """S and S + L would be the same to who does not look; RFC 8032 allows the smaller one only."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    signature = private.sign(message)
    other = int.from_bytes(signature[32:], "little") + ORDER
    with pytest.raises(ValueError, match="a signature is damaged"):
        has_signed(private.public_key().public_bytes_raw(), message, signature[:32] + other.to_bytes(32, "little"))


# --- Whatever is changed, someone who only has the bundle is found out.


def test_a_bundle_as_it_was_made_is_right(files: Files, key: str) -> None:
    assert checked(files, key=key)


def test_every_byte_counts_even_if_the_manifest_is_made_to_fit(files: Files, key: str) -> None:
    survived = []
    for name, content in files.items():
        if name in PROGRAMS:
            continue
        for place in range(0, len(content), max(1, len(content) // 80)):
            changed = bytearray(content)
            changed[place] ^= 4  # in base64 too, this is another value
            damaged = {**files, name: bytes(changed)}
            if name != "bundle.json":
                damaged = with_manifest(damaged)
            # The first key in the bundle is what counts for whoever brings none.
            if _passes(damaged, None if name == "keys.txt" else key):
                survived.append(f"{name}, byte {place}")
    assert survived == []


@pytest.mark.parametrize("name", ["events.jsonl", "verify.py", "index.html", "model/model.json", "keys.txt"])
def test_a_changed_file_is_named(files: Files, name: str) -> None:
    with pytest.raises(ValueError, match=f"this is not what the manifest lists: {re.escape(name)}"):
        checked({**files, name: files[name] + b" "})


def test_a_file_that_is_missing_or_was_added_is_named(files: Files) -> None:
    with pytest.raises(ValueError, match=r"this is not what the manifest lists: data\.json"):
        checked({name: content for name, content in files.items() if name != "data.json"})
    with pytest.raises(ValueError, match=r"this is not what the manifest lists: model/extra\.bin"):
        checked({**files, "model/extra.bin": b""})


def test_each_file_is_needed(files: Files, key: str) -> None:
    for name in set(files) - {"bundle.json", "provenance.json", *PROGRAMS}:
        rest = {other: content for other, content in files.items() if other != name}
        assert not _passes(with_manifest(rest), key), name


LINES: list[tuple[str, Callable[[list[bytes]], list[bytes]]]] = [
    ("left out in the middle", lambda lines: lines[:2] + lines[3:]),
    ("left out at the beginning", lambda lines: lines[1:]),
    ("cut off at the end", lambda lines: lines[:-1]),
    ("all gone", lambda lines: []),
    ("twice", lambda lines: [*lines[:3], lines[2], *lines[3:]]),
    ("in another order", lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]),
    ("spaced out", lambda lines: [line.replace(b":", b": ", 1) for line in lines]),
    ("invented", lambda lines: [*lines[:2], lines[2].replace(b"train_model", b"save_model"), *lines[3:]]),
    ("put between two positions", lambda lines: [*lines[:3], _between(lines[2]), *lines[3:]]),
    ("turned into a pruned one of another hash", lambda lines: [*lines[:2], _pruned(b"", 3), *lines[3:]]),
    ("turned into a pruned one at no position", lambda lines: [*lines[:2], _pruned(lines[2], 2.5), *lines[2:]]),
    ("hidden at the beginning", lambda lines: [_pruned(lines[0], 1), *lines[1:]]),
    ("hidden at the end", lambda lines: [*lines[:-1], _pruned(lines[-1], 6)]),
]


@pytest.mark.parametrize(("what", "change"), LINES, ids=[what for what, _ in LINES])
def test_no_event_can_be(files: Files, key: str, what: str, change: Callable[[list[bytes]], list[bytes]]) -> None:
    changed = b"".join(line + b"\n" for line in change(files["events.jsonl"].splitlines()))
    assert changed != files["events.jsonl"]
    assert not _passes(with_manifest({**files, "events.jsonl": changed}), key), what


def test_a_checkpoint_that_someone_else_signed_is_not_the_logs(files: Files, key: str) -> None:
    forged = forge(files["events.jsonl"].splitlines(), files)
    assert checked(forged), "without a key it fits together, and says whose it is"
    assert not _passes(forged, key)


def test_a_changed_checkpoint_is_told_from_its_signature(files: Files, key: str) -> None:
    note = files["checkpoint.txt"]
    changed = note.replace(b"\n11\n", b"\n12\n")
    proof = json.loads(files["proof.json"]) | {"size": 12}
    damaged = {**files, "checkpoint.txt": changed, "proof.json": json.dumps(proof).encode()}
    damaged["job.tlog-proof"] = files["job.tlog-proof"].replace(note, changed)
    assert not _passes(with_manifest(damaged), key)
    dash, name, encoded = note.decode().splitlines()[-1].split(" ")
    data = bytearray(b64decode(encoded))
    data[-1] ^= 1
    unsigned = note.replace(encoded.encode(), b64encode(data))
    damaged = {**files, "checkpoint.txt": unsigned, "job.tlog-proof": files["job.tlog-proof"].replace(note, unsigned)}
    with pytest.raises(ValueError, match=f"the signature of {name} is wrong"):
        checked(with_manifest(damaged), key=key)
    assert dash == "\N{EM DASH}"


def test_a_model_of_another_job_is_not_this_ones(files: Files, key: str) -> None:
    other = b"other weights"
    sums = files["model/SHA256SUMS"].replace(
        sha256(files["model/weights.safetensors"]).hexdigest().encode(), sha256(other).hexdigest().encode()
    )
    damaged = with_manifest({**files, "model/weights.safetensors": other, "model/SHA256SUMS": sums})
    with pytest.raises(ValueError, match="the model is another one"):
        checked(damaged, key=key)


def test_a_provenance_that_the_log_did_not_sign_is_refused(files: Files, key: str) -> None:
    envelope = json.loads(files["provenance.json"])
    signature = STRANGER.sign_bytes(b64decode(envelope["payload"]))
    for signatures in (
        [{"keyid": key, "sig": to_base64(signature)}],
        [{"keyid": str(STRANGER.verifier), "sig": to_base64(signature)}],
        [],
    ):
        damaged = {**files, "provenance.json": json.dumps({**envelope, "signatures": signatures}).encode()}
        assert not _passes(with_manifest(damaged), key)


def _passes(files: Files, key: str | None) -> bool:
    try:
        return bool(checked(files, key=key))
    except (ValueError, LookupError, TypeError, AttributeError):
        return False


def _between(line: bytes) -> bytes:
    event = json.loads(line)
    return json.dumps({**event, "position": event["position"] + 0.5, "version": 4}).encode()


def _pruned(line: bytes, position: float) -> bytes:
    return json.dumps({"leaf_hash": sha256(b"\0" + line).hexdigest(), "position": position}).encode()


# --- Whatever the holder of the key signs, the rules of a job hold.


def forge(lines: Sequence[bytes], files: Files) -> Files:
    """A bundle in which everything fits together over these lines, signed by a stranger's key."""
    taken = [json.loads(line)["position"] for line in lines]
    hashes = dict(zip(taken, [sha256(b"\0" + line).digest() for line in lines], strict=True))
    leaves = [hashes.get(position, sha256(b"others").digest()) for position in range(1, max(taken) + 3)]

    def subtree(level: int, index: int) -> bytes:
        return root_of(leaves[index << level : (index + 1) << level])

    size, indexes = len(leaves), sorted(position - 1 for position in hashes)
    text = LogCheckpoint(STRANGER.name, size, root_of(leaves)).text
    note = SignedNote(text, (STRANGER.sign(text),))
    proof = [to_base64(one) for one in make_multiproof(indexes, size, subtree)]
    last = EventProof(lines[-1], taken[-1] - 1, tuple(inclusion_proof(taken[-1] - 1, size, subtree)), note)
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    submitted = events[0].get("data", {})
    forged = {
        **files,
        "events.jsonl": b"".join(line + b"\n" for line in lines),
        "checkpoint.txt": str(note).encode(),
        "proof.json": json.dumps({"size": size, "root": to_base64(root_of(leaves)), "hashes": proof}).encode(),
        "keys.txt": f"{STRANGER.verifier}\n".encode(),
        "job.tlog-proof": str(last).encode(),
        "profile.json": json.dumps([one["data"] for one in events if one.get("type") == "JobClaimed"]).encode(),
        "data.json": json.dumps({name: submitted.get(name) for name in ("prices", "context")}).encode(),
    }
    del forged["provenance.json"]
    return with_manifest(forged)


def events_of(files: Files) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files["events.jsonl"].splitlines()]


def as_lines(events: Sequence[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(event, sort_keys=True, separators=(",", ":")).encode() for event in events]


def _versions_with_a_gap(events: list[dict[str, Any]]) -> str:
    events[3]["version"] = 5
    return f"line 4 is no event of {COMPLETED_JOB}"


def _another_job(events: list[dict[str, Any]]) -> str:
    events[3]["job_id"] = CANCELLED_JOB
    return f"line 4 is no event of {COMPLETED_JOB}"


def _second_end(events: list[dict[str, Any]]) -> str:
    events.append({**events[-1], "position": 7, "version": 7})
    return "line 7 of the events comes after the job's end"


def _something_after_the_end(events: list[dict[str, Any]]) -> str:
    events.append({**events[3], "position": 7, "version": 7})
    return "line 7 of the events comes after the job's end"


def _no_submission(events: list[dict[str, Any]]) -> str:
    events[0]["type"] = "JobClaimed"
    return "the submission is missing"


def _time_that_falls(events: list[dict[str, Any]]) -> str:
    events[2]["recorded_at"] = "2020-01-01T00:00:00.000000Z"
    return "line 3 is before the last"


def _another_model(events: list[dict[str, Any]]) -> str:
    events[-1]["data"]["model_digest"] = "0" * 64
    return "the model is another one"


RULES = [
    _versions_with_a_gap, _another_job, _second_end, _something_after_the_end, _no_submission, _time_that_falls,
    _another_model,
]  # fmt: skip


def test_a_forged_bundle_would_pass_but_for_the_rules(files: Files) -> None:
    assert checked(forge(as_lines(events_of(files)), files))


@pytest.mark.parametrize("break_rule", RULES, ids=[rule.__name__.strip("_") for rule in RULES])
def test_the_log_itself_cannot_sign(files: Files, break_rule: Callable[[list[dict[str, Any]]], str]) -> None:
    events = events_of(files)
    said = break_rule(events)
    with pytest.raises(ValueError, match=re.escape(said)):
        checked(forge(as_lines(events), files))


def test_events_in_another_order_than_the_log_has_them_are_refused(files: Files) -> None:
    events = events_of(files)
    events[2]["position"], events[3]["position"] = 4, 3
    with pytest.raises(ValueError, match="line 4 is at a wrong position"):
        checked(forge(as_lines(events), files))


def test_a_bundle_of_another_format_is_refused(files: Files) -> None:
    manifest = json.loads(files["bundle.json"]) | {"format": "ktrdr-bundle/2"}
    with pytest.raises(ValueError, match="this is not what the manifest lists"):
        checked({**files, "bundle.json": json.dumps(manifest).encode()})


# --- Other bundles than that of a completed job.


def test_bundles_without_a_model_and_with_pruned_events_are_verified_too(tmp_path: Path) -> None:
    store = write_log(tmp_path / "home")
    prune_without_archive(store, EPOCHS)
    log = store.open_log()
    for number, job_id in enumerate((COMPLETED_JOB, CANCELLED_JOB, RUNNING_JOB)):
        bundle = _written(tmp_path / f"{number}.zip", pack(bundle_files(store, log, job_id)))
        ran = run_alone(tmp_path, bundle, "--key", published_keys(store)[0])
        assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "verified")
    log.close()
