"""A witness of one log: what it answers to a new checkpoint, and what it remembers. Imports jobs and this package.

It cosigns what goes on from the newest checkpoint that it saw and nothing else, so that a log which showed different
histories to different people would need different witnesses too (C2SP tlog-witness, https://c2sp.org/tlog-witness).
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ktrdr.audit.signed.notes import (
    COSIGNATURE,
    LogCheckpoint,
    NoteError,
    SignedNote,
    SigningKey,
    VerifierKey,
    from_base64,
    to_base64,
)
from ktrdr.audit.signed.signing import trusted_keys
from ktrdr.files import write_whole
from ktrdr.jobs.merkle import EMPTY_ROOT, ProofError, check_consistency

#: What a conflict's body is: the size that the witness knows.
SIZE_MEDIA_TYPE = "text/x.tlog.size"
LARGEST_BODY = 64 * 1024
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
_MOST_HASHES = 63


class RefusedError(Exception):
    """A checkpoint is not cosigned: status and body of the answer."""

    def __init__(self, status: int, body: str, media_type: str = "text/plain") -> None:
        super().__init__(body)
        self.status = status
        self.body = body
        self.media_type = media_type


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """The request: a checkpoint, and the proof that it goes on from the tree of `old` leaves."""

    old: int
    proof: tuple[bytes, ...]
    note: SignedNote

    def __str__(self) -> str:
        lines = [f"old {self.old}", *map(to_base64, self.proof)]
        return "\n".join(lines) + f"\n\n{self.note}"

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        """Raises RefusedError (400)."""
        try:
            head, separator, note = body.decode().partition("\n\n")
            first, *hashes = head.split("\n")
            old = _OLD.fullmatch(first)
            if not separator or old is None or len(hashes) > _MOST_HASHES:
                raise ValueError("the request needs a line `old N`, up to 63 hashes, an empty line and the checkpoint")
            return cls(int(old[1]), tuple(map(from_base64, hashes)), SignedNote.parse(note))
        except ValueError as error:
            raise RefusedError(400, f"{error}\n") from None


def judge(asked: AddCheckpoint, known: LogCheckpoint | None, keys: Sequence[VerifierKey]) -> LogCheckpoint:
    """The checkpoint to cosign. Raises RefusedError with the status that the specification gives to each reason.

    `known` is the newest one that was cosigned, `keys` are those of the log, under its name.
    """
    try:
        new = LogCheckpoint.parse(asked.note.text)
    except NoteError as error:
        raise RefusedError(400, f"{error}\n") from None
    if all(new.origin != key.name for key in keys):
        raise RefusedError(404, f"the log {new.origin} is not known here\n")
    try:
        is_signed = any(key.name == new.origin for key in asked.note.signers(keys))
    except NoteError as error:
        raise RefusedError(403, f"{error}\n") from None
    if not is_signed:
        raise RefusedError(403, f"no key of {new.origin} that is known here has signed the checkpoint\n")
    if asked.old > new.size:
        raise RefusedError(400, f"a tree of {asked.old} leaves is not the beginning of one of {new.size}\n")
    size, root = (known.size, known.root) if known else (0, EMPTY_ROOT)
    if asked.old != size or (size == new.size and root != new.root):
        raise RefusedError(409, f"{size}\n", SIZE_MEDIA_TYPE)
    try:
        check_consistency(size, new.size, root, new.root, asked.proof)
    except ProofError as error:
        raise RefusedError(422, f"{error}\n") from None
    return new


class Witness:
    """What a witness keeps in its folder, synced before it answers: its key, the log's keys, the newest checkpoint.

    One process at a time has the folder. Belongs to one thread. Raises OSError.
    """

    def __init__(self, folder: Path, log_keys: Sequence[VerifierKey], clock: Callable[[], float]) -> None:
        """Raises BlockingIOError if another process has the folder, and NoteError if something in it is damaged.

        `clock` gives seconds since 1970, which cosignatures state.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._keys_file, self._newest_file = folder / "log-keys", folder / "checkpoint"
        self._lock = (folder / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._key = _own_key(folder / "witness.key")
            self._log_keys = list(dict.fromkeys([*log_keys, *_known_keys(self._keys_file)]))
            self._newest = _known_checkpoint(self._newest_file)
        except BaseException:
            self._lock.close()
            raise

    @property
    def key(self) -> VerifierKey:
        """Its public key, which whoever relies on it must know."""
        return self._key.verifier

    def add(self, body: bytes) -> str:
        """The cosignature line for a request. Raises RefusedError."""
        asked = AddCheckpoint.parse(body)
        new = judge(asked, self._newest, self._log_keys)
        self._learn_key(asked.note)
        write_whole(self._newest_file, str(asked.note).encode())
        self._newest = new
        return f"{self._key.sign(asked.note.text, at=int(self._clock()))}\n"

    def close(self) -> None:
        self._lock.close()

    def _learn_key(self, note: SignedNote) -> None:
        """A checkpoint by which a known key hands over to a new one makes that known too."""
        found = [key for known in self._log_keys for key in trusted_keys(known, [note])]
        keys = list(dict.fromkeys([*self._log_keys, *found]))
        if keys != self._log_keys:
            write_whole(self._keys_file, "".join(f"{key}\n" for key in keys).encode())
            self._log_keys = keys


def _own_key(path: Path) -> SigningKey:
    if not path.exists():
        key = SigningKey(f"ktrdr.local/witness/{os.urandom(8).hex()}", COSIGNATURE, os.urandom(32))
        write_whole(path, f"{key.to_text()}\n".encode())
    return SigningKey.parse(path.read_text())


def _known_keys(path: Path) -> list[VerifierKey]:
    return [VerifierKey.parse(key) for key in path.read_text().split()] if path.exists() else []


def _known_checkpoint(path: Path) -> LogCheckpoint | None:
    return LogCheckpoint.parse(SignedNote.parse(path.read_text()).text) if path.exists() else None
