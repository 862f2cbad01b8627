"""Checking a downloaded model and the statement where it comes from, offline. Imports the audit's proofs and notes.

Everything that is wrong becomes a finding; a check that needs what another one has found wrong is left out.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktrdr.audit.dsse import Envelope, EnvelopeError
from ktrdr.audit.provenance import PAYLOAD_TYPE, PREDICATE_TYPE, PROOF, STATEMENT_TYPE, invocation_id
from ktrdr.audit.signed.notes import LogCheckpoint, NoteError, VerifierKey
from ktrdr.audit.signed.proofs import EventProof
from ktrdr.jobs.events import JobCompleted
from ktrdr.jobs.merkle import ProofError
from ktrdr.training.model_directory import PROVENANCE, SUMS, SavedModelError, read_directory, read_sums


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVerdict:
    """What was found of a model and its statement; what could not be found is None."""

    directory: str
    #: SHA-256 of its SHA256SUMS.
    model_digest: str | None
    job: str | None
    #: The log's name, and the position of the job's end in it.
    origin: str | None
    position: int | None
    #: The checkpoint of the log that the proof leads to: its size and root.
    checkpoint: LogCheckpoint | None
    #: The key that has signed.
    key: str | None
    #: Whether the caller has named it.
    key_was_given: bool
    #: What was checked and is right, in order.
    checks: tuple[str, ...]
    #: What is wrong.
    findings: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        return not self.findings

    @property
    def sentence(self) -> str:
        if not self.is_sound:
            return f"not sound: {'one finding' if len(self.findings) == 1 else f'{len(self.findings)} findings'}"
        said = f"sound: the model of job {self.job}, as {self.origin} recorded it at position {self.position}"
        if self.key_was_given:
            return said
        return f"{said}; whether {self.key} is the key of that service you have to know from elsewhere"


class _WrongError(Exception):
    """What is checked is not as it should be; the message is the finding."""


def check_model(directory: Path, trusted: Sequence[VerifierKey] = ()) -> ModelVerdict:
    """Checks the files, the statement's signature, that it speaks of these files, and its proof.

    Without `trusted` keys the one that the statement names is believed: the verdict then says only that all of it fits
    together. Raises nothing that the directory could cause.
    """
    found: dict[str, Any] = {}
    checks: list[str] = []
    findings: list[str] = []
    try:
        files, found["model_digest"] = _files(directory)
        checks.append(f"{len(files)} files have the sums in {SUMS}; the model's digest is {found['model_digest']}")
    except _WrongError as error:
        findings.append(str(error))
    try:
        envelope, key = _signed(directory, trusted)
        found["key"] = str(key)
        checks.append(f"{PROVENANCE} is signed by {key}")
        statement = _statement(envelope)
        if found.get("model_digest"):
            _check_subjects(statement, files, found["model_digest"])
            checks.append(f"{PROVENANCE} speaks of exactly these files")
        proof, event = _proved(statement, key)
        stated = LogCheckpoint.parse(proof.checkpoint.text)
        found |= {"checkpoint": stated, "origin": stated.origin, "position": event["position"], "job": event["job_id"]}
        checks.append(f"event {event['position']} of {stated.origin} is in its log of {stated.size} events, as signed")
        _check_event(event, statement, stated.origin, found.get("model_digest"))
        checks.append(f"the event is the completion of job {event['job_id']} with this model")
    except _WrongError as error:
        findings.append(str(error))
    names = ("model_digest", "job", "origin", "position", "checkpoint", "key")
    return ModelVerdict(
        directory=str(directory),
        **{name: found.get(name) for name in names},
        key_was_given=bool(trusted),
        checks=tuple(checks),
        findings=tuple(findings),
    )


def _files(directory: Path) -> tuple[dict[str, str], str]:
    """The digests of the model's files by name, and that of the model."""
    try:
        _, digest = read_directory(directory)
        return read_sums(directory)[0], digest
    except (SavedModelError, OSError) as error:
        raise _WrongError(str(error)) from None


def _signed(directory: Path, trusted: Sequence[VerifierKey]) -> tuple[Envelope, VerifierKey]:
    path = directory / PROVENANCE
    try:
        envelope = Envelope.parse(path.read_bytes())
        keys = trusted or [VerifierKey.parse(key_id) for key_id, _ in envelope.signatures]
        signers = envelope.signers(keys)
    except OSError as error:
        raise _WrongError(f"{path}: {error.strerror}; download the model with: ktrdr jobs model ID") from None
    except (EnvelopeError, NoteError) as error:
        raise _WrongError(f"{path}: {error}") from None
    if not signers:
        named = ", ".join(key_id[:200] for key_id, _ in envelope.signatures) or "nobody"
        wanted = " or ".join(map(str, trusted)) or "a key of a log"
        raise _WrongError(f"{path} is not signed by {wanted}, but by {named}")
    return envelope, signers[0]


def _statement(envelope: Envelope) -> dict[str, Any]:
    kinds = {"payloadType": PAYLOAD_TYPE, "_type": STATEMENT_TYPE, "predicateType": PREDICATE_TYPE}
    statement = _object(envelope.payload, f"what {PROVENANCE} signs")
    for name, wanted in kinds.items():
        given = envelope.payload_type if name == "payloadType" else statement.get(name)
        if given != wanted:
            raise _WrongError(f"{PROVENANCE} has the {name} {str(given)[:100]!r}, not {wanted!r}")
    return statement


def _check_subjects(statement: Mapping[str, Any], files: Mapping[str, str], model_digest: str) -> None:
    wanted = sorted({**files, SUMS: model_digest}.items())
    try:
        given = sorted((one["name"], one["digest"]["sha256"]) for one in statement["subject"])
    except (KeyError, TypeError) as error:
        raise _WrongError(f"the subjects in {PROVENANCE} have not the form of a statement: {error!r}") from None
    for name, digest in wanted:
        if (name, digest) not in given:
            raise _WrongError(f"{PROVENANCE} speaks of another model: it does not know {name} with SHA-256 {digest}")
    if given != wanted:
        raise _WrongError(f"{PROVENANCE} speaks of other files too: of {len(given)} instead of {len(wanted)}")


def _proved(statement: Mapping[str, Any], key: VerifierKey) -> tuple[EventProof, dict[str, Any]]:
    """The proof in the statement, and the event that it proves."""
    try:
        byproducts = statement["predicate"]["runDetails"]["byproducts"]
        content = next(one["content"] for one in byproducts if one["name"] == PROOF)
        proof = EventProof.parse(b64decode(content, validate=True).decode())
        return proof, proof.check([key])[0]
    except (StopIteration, KeyError, TypeError):
        raise _WrongError(f"{PROVENANCE} has no byproduct {PROOF}: it does not prove that the log knows it") from None
    except (ProofError, NoteError, ValueError) as error:
        raise _WrongError(f"the proof in {PROVENANCE} does not hold: {error}") from None


def _check_event(event: Mapping[str, Any], statement: Mapping[str, Any], origin: str, model_digest: str | None) -> None:
    """That the event which is proved is what the statement says, of this very model."""
    try:
        is_end = event["type"] == JobCompleted.__name__
        recorded = event["data"]["model_digest"] if is_end else None
        details = statement["predicate"]["runDetails"]["metadata"]
        said = {"invocationId": details["invocationId"], "finishedOn": details["finishedOn"]}
        proved = {"invocationId": invocation_id(origin, event["position"]), "finishedOn": event["recorded_at"]}
        job = statement["predicate"]["buildDefinition"]["externalParameters"]["job"]
    except (KeyError, TypeError) as error:
        raise _WrongError(f"the event or the statement lacks what it must say: {error!r}") from None
    if not is_end:
        raise _WrongError(f"the event that is proved is a {str(event['type'])[:50]}, not the completion of a job")
    if model_digest is not None and recorded != model_digest:
        raise _WrongError(f"the log records the model {str(recorded)[:64]} for job {event['job_id']}, not this one")
    for name, value in (said | {"job": job}).items():
        expected = (proved | {"job": event["job_id"]})[name]
        if value != expected:
            raise _WrongError(f"{PROVENANCE} says {name} = {str(value)[:100]!r}, the log says {expected!r}")


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _WrongError(f"{what} is not a JSON object")
    return value
