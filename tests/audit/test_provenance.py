"""The statement where a model comes from: what others read in it, and that no change of it or of the model passes."""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audited_log import CANCELLED_JOB, COMPLETED_JOB, END, RUNNING_JOB
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.signer import SSlibKey

from ktrdr.audit.dsse import Envelope, EnvelopeError, pae, sign
from ktrdr.audit.model_check import ModelVerdict, check_model
from ktrdr.audit.provenance import PAYLOAD_TYPE, PROOF, NoModelError, provenance_of
from ktrdr.audit.signed.notes import ED25519, SigningKey, VerifierKey
from ktrdr.audit.signed.proofs import EventProof, prove_job
from ktrdr.audit.signed.signing import rotate_key, rotation_notes, sign_checkpoint, signing_key, trusted_keys
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import JobId
from ktrdr.store import Store
from ktrdr.training.model_directory import PROVENANCE, SUMS, read_directory, write_directory

OTHER_KEY = SigningKey("ktrdr.local/other", ED25519, bytes(32))


@pytest.fixture
def model(store: Store, tmp_path: Path) -> Path:
    """A downloaded model: its files and the statement beside them."""
    (folder,) = store.models.path("0" * 64).parent.iterdir()
    target = tmp_path / "model"
    shutil.copytree(folder, target)
    (target / PROVENANCE).write_text(str(made(store)))
    return target


def made(store: Store, job_id: JobId = COMPLETED_JOB) -> Envelope:
    log = store.open_log()
    try:
        return provenance_of(store, log, job_id)
    finally:
        log.close()


def payload(envelope: Envelope) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(envelope.payload)
    return document


# What others read in it


def test_the_encoding_that_is_signed_is_that_of_the_specification() -> None:
    assert pae("http://example.com/HelloWorld", "hello world") == (
        "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("t", "ü") == "DSSEv1 1 t 2 ü"


def test_an_independent_library_verifies_the_envelope(store: Store) -> None:
    envelope, verifier = made(store), signing_key(store).verifier
    other = OtherEnvelope.from_dict(json.loads(str(envelope)))
    key = SSlibKey(str(verifier), "ed25519", "ed25519", {"public": verifier.public.hex()})
    assert list(other.verify([key], 1)) == [str(verifier)]
    assert other.pae() == pae(envelope.payload_type, envelope.payload).encode()


def test_an_independent_library_takes_it_for_a_statement(store: Store) -> None:
    document = payload(made(store))
    subjects = [ResourceDescriptor(name=one["name"], digest=one["digest"]).pb for one in document["subject"]]
    statement = Statement(subjects, document["predicateType"], document["predicate"])
    statement.validate()
    assert document["_type"] == statement.pb.type
    predicate = document["predicate"]
    for one in (*predicate["buildDefinition"]["resolvedDependencies"], *predicate["runDetails"]["byproducts"]):
        content = base64.b64decode(one["content"]) if "content" in one else b""
        ResourceDescriptor(
            name=one["name"], uri=one.get("uri", ""), digest=one.get("digest"), content=content
        ).validate()


def test_it_names_the_files_the_data_and_the_place_in_the_log(store: Store) -> None:
    document = payload(made(store))
    names = {one["name"] for one in document["subject"]}
    assert names == {"weights.safetensors", "model.json", SUMS}
    definition, details = (document["predicate"][name] for name in ("buildDefinition", "runDetails"))
    dependencies = {one["name"]: one.get("digest", one.get("uri")) for one in definition["resolvedDependencies"]}
    assert dependencies.keys() == {"prices/AAPL/1h", "context/RATE", "ktrdr"}
    assert definition["externalParameters"]["training"]["seed"] == 7
    assert definition["externalParameters"]["job"] == COMPLETED_JOB
    assert [one["worker"] for one in definition["internalParameters"]["attempts"]] == ["w1"]
    origin = signing_key(store).name
    assert details["metadata"]["invocationId"] == f"{origin}#{END}"
    assert details["builder"]["id"] == f"urn:ktrdr:service:{origin}"
    assert details["metadata"]["startedOn"] <= details["metadata"]["finishedOn"]


def test_it_is_the_same_each_time_though_the_log_grows(store: Store) -> None:
    first = made(store)
    log = store.open_log()
    write_more(store)
    sign_checkpoint(store, log)
    log.close()
    assert str(made(store)) == str(first)


def write_more(store: Store) -> None:
    from ktrdr.jobs import decide

    log = store.open_log()
    log.write(
        lambda transaction: transaction.change(
            RUNNING_JOB, lambda state: decide.request_cancellation(state, by="anna", reason=""), actor="client:anna"
        )
    )
    log.close()


@pytest.mark.parametrize("job_id", [CANCELLED_JOB, RUNNING_JOB])
def test_a_job_without_a_model_has_none(store: Store, job_id: JobId) -> None:
    with pytest.raises(NoModelError, match="has not completed"):
        made(store, job_id)


# The check


def test_a_downloaded_model_is_sound_whether_the_key_is_known_or_not(store: Store, model: Path) -> None:
    key = signing_key(store).verifier
    believed, trusted = check_model(model), check_model(model, [key])
    assert believed.findings == trusted.findings == ()
    assert (believed.job, believed.position, believed.key) == (COMPLETED_JOB, END, str(key))
    assert "you have to know from elsewhere" in believed.sentence
    assert "elsewhere" not in trusted.sentence
    assert len(trusted.checks) == 5


def test_the_statement_beside_a_model_changes_neither_its_digest_nor_its_files(tmp_path: Path) -> None:
    digest = write_directory(tmp_path / "model", {"a": b"1"})
    (tmp_path / "model" / PROVENANCE).write_text("{}")
    assert read_directory(tmp_path / "model", frozenset({"a"})) == ({"a": b"1"}, digest)
    assert read_directory(tmp_path / "model") == ({"a": b"1"}, digest)


def test_after_a_change_of_the_key_the_old_trust_leads_to_the_new_statement(store: Store, model: Path) -> None:
    old = signing_key(store).verifier
    log = store.open_log()
    rotate_key(store, log)
    log.close()
    assert check_model(model, [old]).is_sound
    (model / PROVENANCE).write_text(str(made(store)))
    assert check_model(model).is_sound
    assert "is not signed by" in check_model(model, [old]).findings[0]
    assert check_model(model, trusted_keys(old, rotation_notes(store))).is_sound


def test_with_another_key_that_is_trusted_it_is_not_sound(model: Path) -> None:
    verdict = check_model(model, [OTHER_KEY.verifier])
    assert not verdict.is_sound
    assert f"is not signed by {OTHER_KEY.verifier}, but by" in verdict.findings[0]


def append(name: str) -> Callable[[Path], None]:
    return lambda model: (model / name).write_bytes((model / name).read_bytes() + b" ") and None


def both(model: Path) -> None:
    """A changed file with sums that fit it: another model under the same statement."""
    (model / "model.json").write_bytes(b"{ }")
    files = {name: (model / name).read_bytes() for name in ("weights.safetensors", "model.json")}
    write_directory(model.parent / "changed", files)
    (model / SUMS).write_bytes((model.parent / "changed" / SUMS).read_bytes())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (append("weights.safetensors"), "weights.safetensors has the SHA-256"),
        (append("model.json"), "model.json has the SHA-256"),
        (append(SUMS), "a line that is no sum"),
        (lambda model: (model / "extra.txt").write_text("x"), "extra.txt does not belong there"),
        (lambda model: (model / "model.json").unlink(), "model.json is missing"),
        (lambda model: (model / SUMS).unlink(), "No such file"),
        (lambda model: (model / PROVENANCE).unlink(), "ktrdr jobs model"),
        (lambda model: (model / PROVENANCE).write_text("[]"), "not a DSSE envelope"),
        (both, "speaks of another model"),
    ],
    ids=["weights", "description", "sums", "extra", "missing", "no sums", "no statement", "no envelope", "both"],
)
def test_a_changed_model_is_refused(model: Path, change: Callable[[Path], object], said: str) -> None:
    change(model)
    verdict = check_model(model)
    assert not verdict.is_sound
    assert said in " ".join(verdict.findings)


def test_no_character_of_the_statement_can_be_changed_unseen(store: Store, model: Path) -> None:
    """Some hundreds of them, and all of the signature."""
    key = signing_key(store).verifier
    whole = (model / PROVENANCE).read_text()
    for place in {*range(0, len(whole), len(whole) // 200), *range(len(whole) - 300, len(whole))}:
        other = "A" if whole[place] != "A" else "B"
        (model / PROVENANCE).write_text(whole[:place] + other + whole[place + 1 :])
        assert not check_model(model, [key]).is_sound, f"character {place}: {whole[place - 20 : place + 20]}"


def resigned(store: Store, model: Path, change: Callable[[dict[str, Any]], object], key: SigningKey) -> ModelVerdict:
    document = payload(Envelope.parse((model / PROVENANCE).read_text()))
    change(document)
    (model / PROVENANCE).write_text(str(sign(PAYLOAD_TYPE, dumps(document), key)))
    return check_model(model)


def details_of(document: dict[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = document["predicate"]["runDetails"]
    return details


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["subject"].pop(), "speaks of another model"),
        (lambda d: d["subject"].append({"name": "x", "digest": {"sha256": "0"}}), "speaks of other files too"),
        (lambda d: d["subject"][0].update(digest={"sha256": "0" * 64}), "speaks of another model"),
        (lambda d: d.update(subject=7), "not the form of a statement"),
        (lambda d: d.update(_type="x"), "has the _type 'x'"),
        (lambda d: d.update(predicateType="x"), "has the predicateType 'x'"),
        (lambda d: details_of(d)["metadata"].update(invocationId="x#1"), "says invocationId = 'x#1'"),
        (lambda d: details_of(d)["metadata"].update(finishedOn="2020"), "says finishedOn"),
        (lambda d: d["predicate"]["buildDefinition"]["externalParameters"].update(job=RUNNING_JOB), "says job"),
        (lambda d: d["predicate"].pop("buildDefinition"), "lacks what it must say"),
        (lambda d: details_of(d).pop("byproducts"), f"no byproduct {PROOF}"),
        (lambda d: details_of(d)["byproducts"][0].update(content="eHg="), "does not hold"),
    ],
)
def test_a_statement_that_its_signer_changed_is_refused_where_files_or_log_say_otherwise(
    store: Store, model: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    verdict = resigned(store, model, change, signing_key(store))
    assert said in " ".join(verdict.findings)


def changed_proof(document: dict[str, Any], change: Callable[[EventProof], EventProof]) -> None:
    (byproduct,) = details_of(document)["byproducts"]
    proof = EventProof.parse(base64.b64decode(byproduct["content"]).decode())
    byproduct["content"] = base64.b64encode(str(change(proof)).encode()).decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda proof: replace(proof, entry=proof.entry.replace(b"0.61", b"0.99")), "does not lead to the signed root"),
        (lambda proof: replace(proof, index=proof.index - 1), "does not"),
        (lambda proof: replace(proof, hashes=proof.hashes[:-1]), "fewer hashes"),
        (lambda proof: replace(proof, hashes=(bytes(32), *proof.hashes[1:])), "does not lead to the signed root"),
    ],
)
def test_a_proof_that_was_changed_is_refused_though_the_statement_is_signed(
    store: Store, model: Path, change: Callable[[EventProof], EventProof], said: str
) -> None:
    verdict = resigned(store, model, lambda document: changed_proof(document, change), signing_key(store))
    assert said in " ".join(verdict.findings)


def test_the_end_of_another_job_proves_nothing(store: Store, model: Path) -> None:
    log = store.open_log()
    proof = prove_job(store, log, CANCELLED_JOB)
    log.close()
    verdict = resigned(store, model, lambda document: changed_proof(document, lambda _: proof), signing_key(store))
    assert "is a JobCancelled, not the completion of a job" in verdict.findings[0]


def test_whoever_does_not_have_the_logs_key_cannot_make_a_statement(store: Store, model: Path) -> None:
    forged = SigningKey(signing_key(store).name, ED25519, bytes(32))
    verdict = resigned(store, model, lambda _: None, forged)
    assert "is not signed by any key of this log that is trusted" in verdict.findings[0]
    with_own_note = resigned(
        store,
        model,
        lambda document: changed_proof(
            document,
            lambda proof: replace(
                proof, checkpoint=replace(proof.checkpoint, signatures=(forged.sign(proof.checkpoint.text),))
            ),
        ),
        forged,
    )
    assert with_own_note.is_sound  # all of it fits together,
    assert with_own_note.key == str(forged.verifier)  # under a key that nobody knows
    assert not check_model(model, [signing_key(store).verifier]).is_sound


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "7",
        '{"payload": 1, "payloadType": "t", "signatures": []}',
        '{"payload": "!", "payloadType": "t", "signatures": []}',
        '{"payload": "/w==", "payloadType": "t", "signatures": []}',
        '{"payload": "", "payloadType": "t", "signatures": {}, "signatures": [{"sig": ""}]}',
        '{"payload": "", "payloadType": "t", "signatures": [7]}',
    ],
)
def test_what_is_no_envelope_is_refused(text: str) -> None:
    with pytest.raises(EnvelopeError, match="not a DSSE envelope"):
        Envelope.parse(text)


def test_an_envelope_reads_back_as_it_was_written() -> None:
    envelope = sign("text/x", 'ü "quoted"', OTHER_KEY)
    assert Envelope.parse(str(envelope)) == envelope
    assert envelope.signers([OTHER_KEY.verifier]) == [OTHER_KEY.verifier]
    assert envelope.signers([]) == []
    with pytest.raises(EnvelopeError, match="wrong"):
        replace(envelope, payload="other").signers([OTHER_KEY.verifier])
    cosigner = VerifierKey(OTHER_KEY.name, 4, OTHER_KEY.verifier.public)
    assert replace(envelope, signatures=((str(cosigner), bytes(72)),)).signers([cosigner]) == []


def test_an_envelope_without_signatures_is_signed_by_nobody(model: Path) -> None:
    envelope = Envelope.parse((model / PROVENANCE).read_text())
    (model / PROVENANCE).write_text(str(replace(envelope, signatures=())))
    assert "is not signed by a key of a log, but by nobody" in check_model(model).findings[0]


def test_a_key_id_that_is_no_key_is_told(model: Path) -> None:
    envelope = Envelope.parse((model / PROVENANCE).read_text())
    (model / PROVENANCE).write_text(str(replace(envelope, signatures=(("me", bytes(64)),))))
    assert "'me' is not an Ed25519 key" in check_model(model).findings[0]


def test_a_folder_that_is_empty_or_a_zip_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "model.zip", "w"):
        pass
    for path in (tmp_path / "empty", tmp_path / "model.zip", tmp_path / "nowhere"):
        verdict = check_model(path)
        assert len(verdict.findings) == 2
        assert verdict.model_digest is None
