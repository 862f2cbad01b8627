"""Where a model comes from, as a signed statement: in-toto Statement v1 with the predicate SLSA provenance v1, in DSSE.

Imports jobs, the store, and the audit's proofs and signatures (https://in-toto.io/Statement/v1,
https://slsa.dev/spec/v1.0/provenance). The statement names the files of the model, what it was made from, and the place
in the log where it was recorded, with the proof that it stands there: whoever trusts the log's key needs nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from ktrdr.audit import dsse
from ktrdr.audit.archive import stored_history
from ktrdr.audit.attempts import Attempt, attempts_of, contributing
from ktrdr.audit.signed.notes import LogCheckpoint
from ktrdr.audit.signed.proofs import EventProof, prove_event
from ktrdr.audit.signed.signing import checkpoint_covering, rotation_notes, sign_checkpoint, signing_key
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import JobCompleted, JobId, JobSubmitted, Recorded
from ktrdr.store import Store
from ktrdr.store.log import Log
from ktrdr.store.reader import StoredEvent
from ktrdr.training.model_directory import SUMS, read_sums

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
#: How the parameters of the statement are to be read.
BUILD_TYPE = "urn:ktrdr:build:training:v1"
#: The name of the byproduct that holds the proof of the JobCompleted event (C2SP tlog-proof).
PROOF = "completion.tlog-proof"

#: Of the submission: what the training is, and how it was to run.
_TRAINING = ("name", "strategy", "symbols", "timeframes", "start", "end", "seed", "prices", "context")
_RUN = ("target", "require_gpu", "prefer_gpu", "max_attempts", "checkpoints", "parent", "relation", "starts_from")


class NoModelError(Exception):
    """The job has not completed, so there is no model whose origin could be stated."""


def provenance_of(store: Store, log: Log, job_id: JobId) -> dsse.Envelope:
    """The signed statement of a completed job; signs a checkpoint of the log if none covers the job's end yet.

    The same bytes each time, until the key changes or a witness adds its signature to that checkpoint. Raises
    UnknownJobError, NoModelError, SavedModelError if the model's sums cannot be read, and as `sign_checkpoint`.
    """
    reader = store.open_reader()
    try:
        stored = stored_history(reader, job_id)
    finally:
        reader.close()
    # Nothing that is stated is ever pruned.
    history = [one.recorded for one in stored if one.data]
    completed = history[-1].event
    if not isinstance(completed, JobCompleted):
        raise NoModelError(f"job {job_id} has not completed, so it has no model")
    files, _ = read_sums(store.models.path(completed.model_digest))
    proof = _prove(store, log, stored[-1])
    key = signing_key(store)
    return dsse.sign(PAYLOAD_TYPE, dumps(statement(history, files, proof, origin=key.name)), key)


def _prove(store: Store, log: Log, event: StoredEvent) -> EventProof:
    """The proof of an event under a checkpoint that the current key has signed, as it signs the statement."""
    rotations = rotation_notes(store)
    signed_from = LogCheckpoint.parse(rotations[-1].text).size if rotations else 0
    with store.engine.connect() as connection:
        checkpoint = checkpoint_covering(connection, max(event.position, signed_from))
        return prove_event(connection, event, checkpoint or sign_checkpoint(store, log))


def statement(
    history: Sequence[Recorded], files: Mapping[str, str], proof: EventProof, *, origin: str
) -> dict[str, Any]:
    """The statement about the model of a completed job, whose files have these SHA-256 digests by name.

    `history` is the job's own (batch progress may be missing), `proof` that of its last event, `origin` the log's name.
    """
    submitted, ended = history[0].event, history[-1]
    assert isinstance(submitted, JobSubmitted)
    assert isinstance(ended.event, JobCompleted)
    attempts = contributing(attempts_of(history))
    proved = str(proof).encode()
    return {
        "_type": STATEMENT_TYPE,
        "subject": [_resource(name, digest) for name, digest in sorted(subjects(files, ended.event).items())],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "job": ended.job_id,
                    "training": {name: getattr(submitted, name) for name in _TRAINING},
                    "run": {name: getattr(submitted, name) for name in _RUN},
                },
                "internalParameters": {"attempts": [_attempt(one) for one in attempts]},
                "resolvedDependencies": _dependencies(submitted),
            },
            "runDetails": {
                "builder": {"id": f"urn:ktrdr:service:{origin}", "version": {"ktrdr": submitted.code_version}},
                "metadata": {
                    "invocationId": invocation_id(origin, ended.position),
                    "startedOn": attempts[0].claimed_at if attempts else history[0].at,
                    "finishedOn": ended.at,
                },
                "byproducts": [
                    {
                        **_resource(PROOF, sha256(proved).hexdigest()),
                        "mediaType": "text/plain",
                        "content": b64encode(proved).decode(),
                    }
                ],
            },
        },
    }


def subjects(files: Mapping[str, str], completed: JobCompleted) -> dict[str, str]:
    """What the statement is about, name → SHA-256: each file, and their sums, whose digest is the model's."""
    return {**files, SUMS: completed.model_digest}


def invocation_id(origin: str, position: int) -> str:
    """The place of an event in a log."""
    return f"{origin}#{position}"


def _resource(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest}}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    claimed = attempt.claimed
    return {
        "number": claimed.attempt,
        "worker": claimed.worker,
        "claimed_at": attempt.claimed_at,
        "resumed_from": attempt.resumed_from,
        "capabilities": claimed.capabilities,
        "numeric_profile": claimed.numeric_profile,
    }


def _dependencies(submitted: JobSubmitted) -> list[dict[str, Any]]:
    origins = {"starts_from": submitted.starts_from, "forked_from": submitted.forked_from}
    checkpoints = {one["digest"]: f"checkpoints/epoch-{one['epoch']}" for one in origins.values() if one is not None}
    return [
        *(_resource(f"prices/{one['symbol']}/{one['timeframe']}", one["digest"]) for one in submitted.prices),
        *(_resource(f"context/{one['name']}", one["digest"]) for one in submitted.context),
        *(_resource(name, digest) for digest, name in checkpoints.items()),
        {"name": "ktrdr", "uri": f"pkg:generic/ktrdr@{submitted.code_version}"},
    ]
