"""Proofs that an event is in the log and that the log only grew, over a signed checkpoint; checking the former.

Imports the store and this package's notes and signing. A proof of an event is a text that verifies alone (C2SP
tlog-proof, https://c2sp.org/tlog-proof): the entry, its place, the hashes beside it, and the checkpoint that they lead
to. Everything that reads takes one connection, whose caller decides about its snapshot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from ktrdr.audit.signed.notes import LogCheckpoint, SignedNote, VerifierKey, from_base64, to_base64
from ktrdr.audit.signed.signing import checkpoint_covering, sign_checkpoint
from ktrdr.jobs.codec import entry_hash
from ktrdr.jobs.events import JobId
from ktrdr.jobs.merkle import (
    HASH_BYTES,
    ProofError,
    consistency_proof,
    inclusion_proof,
    root_from_inclusion,
    tree_root,
)
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.store import Store
from ktrdr.store.log import Log
from ktrdr.store.reader import StoredEvent
from ktrdr.store.schema import events
from ktrdr.store.tree import subtree_hashes

#: The first line of a proof.
FORMAT = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
#: A tree has fewer leaves than 2^63.
_MOST_HASHES = 63


@dataclass(frozen=True, slots=True)
class EventProof:
    """That one event is in the log that a checkpoint signs."""

    #: The event's canonical envelope.
    entry: bytes
    #: Its place in the tree: its position less one.
    index: int
    #: Of 32 bytes each (RFC 6962, 2.1.1).
    hashes: tuple[bytes, ...]
    checkpoint: SignedNote

    def __str__(self) -> str:
        lines = [FORMAT, f"extra {to_base64(self.entry)}", f"index {self.index}", *map(to_base64, self.hashes)]
        return "\n".join(lines) + f"\n\n{self.checkpoint}"

    @classmethod
    def parse(cls, text: str) -> EventProof:
        """Raises ProofError for what is no proof of an event, and NoteError for damaged base64 or a bad note."""
        head, separator, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        if first != FORMAT or not separator:
            raise ProofError(f"the text is not a proof: one begins with the line {FORMAT}")
        if not lines or not lines[0].startswith("extra "):
            raise ProofError("the proof does not hold the event: it has no line that begins with extra")
        place = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
        hashes = tuple(map(from_base64, lines[2:]))
        if place is None or len(hashes) > _MOST_HASHES or any(len(one) != HASH_BYTES for one in hashes):
            raise ProofError("the proof is damaged: it needs the index of the event and hashes of 32 bytes")
        return cls(from_base64(lines[0].removeprefix("extra ")), int(place[1]), hashes, SignedNote.parse(note))

    def check(self, keys: Iterable[VerifierKey]) -> tuple[dict[str, Any], list[VerifierKey]]:
        """The event's envelope and which of the keys have signed that it is in the log.

        Raises ProofError if the proof does not lead to the checkpoint's root or none of the keys has signed it, and
        NoteError if a signature is wrong.
        """
        stated = LogCheckpoint.parse(self.checkpoint.text)
        root = root_from_inclusion(entry_hash(self.entry), self.index, stated.size, self.hashes)
        if root != stated.root:
            raise ProofError("the proof does not lead to the signed root: the event, its place or a hash was changed")
        signers = self.checkpoint.signers(keys)
        if not any(key.name == stated.origin for key in signers):
            raise ProofError(f"the checkpoint of {stated.origin} is not signed by any key of this log that is trusted")
        envelope = _object(self.entry)
        if envelope.get("position") != self.index + 1:
            raise ProofError(f"the event at index {self.index} says that its position is {envelope.get('position')}")
        return envelope, signers


def prove_event(connection: Connection, event: StoredEvent, checkpoint: SignedNote) -> EventProof:
    """The proof of an event in the tree that a checkpoint signs. Raises ValueError if the tree does not hold it."""
    size = LogCheckpoint.parse(checkpoint.text).size
    hashes = inclusion_proof(event.position - 1, size, subtree_hashes(connection))
    return EventProof(event.entry, event.position - 1, tuple(hashes), checkpoint)


def prove_job(store: Store, log: Log, job_id: JobId) -> EventProof:
    """The proof of a job's newest event, of an ended one its end; signs a checkpoint if none covers it yet.

    Raises UnknownJobError, and as `sign_checkpoint`.
    """
    with store.engine.connect() as connection:
        query = select(events).where(events.c.job_id == job_id).order_by(events.c.version.desc()).limit(1)
        row = connection.execute(query).mappings().first()
        if row is None:
            raise UnknownJobError(job_id)
        event = StoredEvent(**row)
        checkpoint = checkpoint_covering(connection, event.position)
        return prove_event(connection, event, checkpoint or sign_checkpoint(store, log))


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That an event is in the tree of a size."""

    leaf_hash: bytes
    hashes: list[bytes]
    root: bytes


@dataclass(frozen=True, slots=True)
class Consistency:
    """That one tree is the beginning of another."""

    old_root: bytes
    new_root: bytes
    hashes: list[bytes]


def inclusion(connection: Connection, position: int, size: int) -> Inclusion:
    """Raises ValueError if no tree of the log has that size, or not that position."""
    subtree = subtree_hashes(connection)
    hashes = inclusion_proof(position - 1, size, subtree)
    return Inclusion(subtree(0, position - 1), hashes, tree_root(size, subtree))


def consistency(connection: Connection, old: int, new: int) -> Consistency:
    """Raises ValueError if the log does not have trees of these sizes, or the old one is the larger one."""
    subtree = subtree_hashes(connection)
    return Consistency(tree_root(old, subtree), tree_root(new, subtree), consistency_proof(old, new, subtree))


def _object(entry: bytes) -> dict[str, Any]:
    try:
        value = json.loads(entry)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ProofError("the entry that is proved is not an event")
    return value
