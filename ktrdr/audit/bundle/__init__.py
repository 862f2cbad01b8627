"""One job as a bundle: a zip file with its events, the proof that the log holds them, its model and a verifier.

Imports jobs, the store, and the audit's archive, proofs, provenance and signing. `verify.py` and the page, which are in
it, check everything else in it without this package and without a network. The same log gives the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection

from ktrdr.audit.archive import full_history
from ktrdr.audit.bundle.page import render
from ktrdr.audit.provenance import provenance_of
from ktrdr.audit.signed.notes import LogCheckpoint, SignedNote, to_base64
from ktrdr.audit.signed.proofs import prove_event
from ktrdr.audit.signed.signing import checkpoint_covering, published_keys, rotation_notes, sign_checkpoint
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import JobClaimed, JobCompleted, JobId
from ktrdr.jobs.multiproof import make_multiproof
from ktrdr.store import Store
from ktrdr.store.log import Log
from ktrdr.store.reader import StoredEvent
from ktrdr.store.tree import subtree_hashes
from ktrdr.training.model_directory import PROVENANCE

FORMAT = "ktrdr-bundle/1"
MANIFEST = "bundle.json"
#: The earliest time that a zip file can name: when a bundle was made is no part of it.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def make_bundle(store: Store, log: Log, job_id: JobId) -> bytes:
    """The bundle of a job as a zip file; signs a checkpoint of the log if none covers the job's newest event yet.

    Raises UnknownJobError, ArchiveError, SavedModelError if the model's sums cannot be read, and as `sign_checkpoint`.
    """
    return pack(bundle_files(store, log, job_id))


def bundle_files(store: Store, log: Log, job_id: JobId) -> dict[str, bytes]:
    """The files of a bundle, name → content. Raises as `make_bundle`.

    - `events.jsonl`: the leaves of the tree, one a line; of a pruned event that is not archived: its leaf hash
    - `checkpoint.txt`, `proof.json`: the signed note, and the hashes that lead from the events to its root
    - `keys.txt`: the log's first key and, each after an empty line, the notes by which one hands over to the next
    - `job.tlog-proof`: of the newest event alone
    - `profile.json`, `data.json`: each claim of a worker, and the data, by digest, as the events have them
    - `model/…`, `provenance.json`: of a completed job
    - `verify.py`, `index.html`: what checks all this
    - `bundle.json`: the SHA-256 of each of these files
    """
    history = full_history(store, job_id)
    newest = history[-1]
    note = _checkpoint(store, log, newest.position)
    with store.engine.connect() as connection:
        proof = _proof(connection, history, LogCheckpoint.parse(note.text))
        newest_proof = prove_event(connection, newest, note)
    files = {
        "events.jsonl": b"".join(_line(event) + b"\n" for event in history),
        "checkpoint.txt": str(note).encode(),
        "proof.json": proof.encode(),
        "keys.txt": _keys(store).encode(),
        "job.tlog-proof": str(newest_proof).encode(),
        **_extracts(history),
    }
    completed = newest.recorded.event
    if isinstance(completed, JobCompleted):
        files[PROVENANCE] = str(provenance_of(store, log, job_id)).encode()
        folder = store.models.path(completed.model_digest)
        files |= {f"model/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    files["verify.py"] = Path(__file__).with_name("verifier.py").read_bytes()
    files["index.html"] = render(files)
    digests = {name: sha256(content).hexdigest() for name, content in files.items()}
    return {MANIFEST: dumps({"format": FORMAT, "job_id": job_id, "files": digests}).encode(), **files}


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip file whose bytes depend on nothing but the files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def _checkpoint(store: Store, log: Log, position: int) -> SignedNote:
    """The first checkpoint that covers a position and is signed by the key of today, which people have at hand."""
    with store.engine.connect() as connection:
        note = checkpoint_covering(connection, position) or sign_checkpoint(store, log)
    if note.signers(published_keys(store)[-1:]):
        return note
    return rotation_notes(store)[-1]


def _line(event: StoredEvent) -> bytes:
    if event.data:
        return event.entry
    return dumps({"leaf_hash": event.leaf_hash.hex(), "position": event.position}).encode()


def _proof(connection: Connection, history: Sequence[StoredEvent], signed: LogCheckpoint) -> str:
    indexes = [event.position - 1 for event in history]
    hashes = make_multiproof(indexes, signed.size, subtree_hashes(connection))
    return dumps({"size": signed.size, "root": to_base64(signed.root), "hashes": [to_base64(one) for one in hashes]})


def _keys(store: Store) -> str:
    return f"{published_keys(store)[0]}\n" + "".join(f"\n{note}" for note in rotation_notes(store))


def _extracts(history: Sequence[StoredEvent]) -> dict[str, bytes]:
    """What readers look for first, taken from the events."""
    submitted = json.loads(history[0].data)
    claims = ",".join(event.data for event in history if event.type == JobClaimed.__name__)
    data = dumps({name: submitted[name] for name in ("prices", "context")})
    return {"profile.json": f"[{claims}]".encode(), "data.json": data.encode()}
