"""Signing the log: the key of this installation, its rotation, and the checkpoints that were signed so far.

Imports the store and this package's notes. The secret lies in `home/audit/signing.key`, the checkpoints in the
database. One process at a time signs or changes the key, behind a lock on `home/audit/lock`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from ktrdr.audit.signed.notes import ED25519, LogCheckpoint, NoteError, Signature, SignedNote, SigningKey, VerifierKey
from ktrdr.files import write_whole
from ktrdr.jobs.merkle import tree_root
from ktrdr.store import Store
from ktrdr.store.log import Log, Transaction
from ktrdr.store.schema import log_checkpoints
from ktrdr.store.tree import MissingEventsError, read_head, subtree_hashes

#: The extension line of a checkpoint by which the old key names the new one; both sign it.
_ROTATION = "key-rotation "


class SigningError(Exception):
    """The log cannot be signed as it is; `fix` says what helps."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.fix = fix


def signing_key(store: Store) -> SigningKey:
    """The key that signs now, made at first use. Raises SigningError if it belongs to another log, and OSError."""
    with _alone(store):
        return _read_keys(store)[0]


def has_keys(store: Store) -> bool:
    """Whether this log was ever signed here: to ask for its keys otherwise makes the first one."""
    return _key_file(store).exists()


def published_keys(store: Store) -> list[VerifierKey]:
    """Every key that this log was signed by, the oldest first and the current one last. Raises as `signing_key`."""
    current = signing_key(store).verifier
    keys = [key for note in rotation_notes(store) for key in _rotation(note.text) or ()]
    return [*dict.fromkeys(key for key in keys if key != current), current]


def rotation_notes(store: Store) -> list[SignedNote]:
    """The checkpoints by which one key handed over to the next, the oldest first."""
    return [SignedNote.parse(path.read_text()) for path in sorted(_rotations(store).glob("*.note"))]


def trusted_keys(first: VerifierKey, notes: Iterable[SignedNote]) -> list[VerifierKey]:
    """The keys to trust for whoever trusts the first one: it, and those that the notes lead to, in this order.

    A note leads from a key that is trusted to the one that it names, if both have signed it: the old key vouches for
    the new one, and the new one shows that its secret is there. Other notes are passed over. Raises NoteError if a
    signature under one of these keys is wrong.
    """
    trusted = [first]
    for note in notes:
        named = _rotation(note.text)
        if named is None or named[0] not in trusted or named[1] in trusted:
            continue
        if len(note.signers(named)) == 2:
            trusted.append(named[1])
    return trusted


def rotate_key(store: Store, log: Log) -> SignedNote:
    """Replaces the key; gives the checkpoint by which the old one, whose secret is gone then, hands over to it.

    If it is interrupted, the next signature finishes it. Raises as `sign_checkpoint`.
    """
    with _alone(store):
        old, *begun = _read_keys(store)
        if not begun:
            _write_keys(store, [old, SigningKey(old.name, ED25519, os.urandom(32))])
        return _sign(store, log)


def sign_checkpoint(store: Store, log: Log) -> SignedNote:
    """Signs the tree as it is now and stores that; gives the stored note if the current key has signed it already.

    Raises SigningError if the log does not go on from what was signed before, and OSError and NotWrittenError.
    """
    with _alone(store):
        return _sign(store, log)


def latest_checkpoint(connection: Connection) -> SignedNote | None:
    """The stored checkpoint of the largest tree."""
    return _first(connection.scalar(select(log_checkpoints.c.note).order_by(log_checkpoints.c.size.desc()).limit(1)))


def checkpoint_covering(connection: Connection, size: int) -> SignedNote | None:
    """The stored checkpoint of the smallest tree that has at least `size` leaves."""
    query = select(log_checkpoints.c.note).where(log_checkpoints.c.size >= size).order_by(log_checkpoints.c.size)
    return _first(connection.scalar(query.limit(1)))


def add_signatures(log: Log, note: SignedNote, signatures: Iterable[Signature]) -> SignedNote:
    """Adds the signatures of others to a stored checkpoint, unless another text took its place meanwhile."""
    size = LogCheckpoint.parse(note.text).size

    def add(transaction: Transaction) -> SignedNote:
        row = transaction.statements.log_checkpoint.run(transaction.cursor, size=size).fetchone()
        stored = SignedNote.parse(row[0]) if row else note
        if stored.text != note.text:
            return stored
        more = stored.with_signatures(one for one in signatures if one not in stored.signatures)
        _put(transaction, size, more)
        return more

    return log.write(add)


def _sign(store: Store, log: Log) -> SignedNote:
    keys = _read_keys(store)
    with snapshot(store.engine) as connection:
        head = read_head(connection)
        newest = latest_checkpoint(connection)
        if newest is not None:
            signed = LogCheckpoint.parse(newest.text)
            is_same = signed.size == head.size and signed.root == head.root
            if is_same and len(keys) == 1 and newest.signers([keys[0].verifier]):
                return newest
            require_continuation(connection, signed, head.size)
    text = LogCheckpoint(head.origin, head.size, head.root).text
    if len(keys) == 2:
        text += f"{_ROTATION}{keys[0].verifier} {keys[1].verifier}\n"
    note = SignedNote(text, tuple(key.sign(text) for key in keys))
    if len(keys) == 2:
        _keep_rotation(store, note)
    log.write(lambda transaction: _put(transaction, head.size, note))
    if len(keys) == 2:
        _write_keys(store, keys[1:])
    return note


def require_continuation(connection: Connection, signed: LogCheckpoint, size: int) -> None:
    """What was signed once must stay so: a signature under a log that was rewritten would hide it.

    Raises SigningError if a log of `size` events does not begin with what was signed.
    """
    if signed.size > size:
        raise SigningError(
            f"the log ends at position {size}, but was signed up to {signed.size}: its end was cut off, or an old copy "
            "was put back",
            "find out what happened, with: ktrdr audit verify",
        )
    try:
        is_same = tree_root(signed.size, subtree_hashes(connection)) == signed.root
    except MissingEventsError:
        is_same = False
    if not is_same:
        raise SigningError(
            f"the log up to position {signed.size} is not what was signed: it was changed afterwards",
            "find out what happened, with: ktrdr audit verify",
        )


def _put(transaction: Transaction, size: int, note: SignedNote) -> None:
    transaction.has_written = True
    transaction.statements.delete_log_checkpoint.run(transaction.cursor, size=size)
    transaction.statements.insert_log_checkpoint.run(
        transaction.cursor, size=size, note=str(note), signed_at=transaction.now
    )


def _first(note: str | None) -> SignedNote | None:
    return None if note is None else SignedNote.parse(note)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection whose reads all see the same moment."""
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        try:
            yield connection
        finally:
            connection.rollback()


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Holds back every other process and thread that would sign or change the key."""
    folder = store.home / "audit"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _key_file(store: Store) -> Path:
    return store.home / "audit" / "signing.key"


def _rotations(store: Store) -> Path:
    return store.home / "audit" / "rotations"


def _read_keys(store: Store) -> list[SigningKey]:
    """The current key; while a rotation is under way, the old and the new one."""
    path = _key_file(store)
    with store.engine.connect() as connection:
        origin = read_head(connection).origin
    if not path.exists():
        _write_keys(store, [SigningKey(origin, ED25519, os.urandom(32))])
    try:
        keys = [SigningKey.parse(line) for line in path.read_text().splitlines()]
    except NoteError as error:
        raise SigningError(f"{path} cannot be used: {error}", "put back a copy of it") from None
    if not 1 <= len(keys) <= 2:
        raise SigningError(f"{path} does not hold a key", "put back a copy of it")
    if keys[0].name != origin:
        raise SigningError(
            f"{path} is the key of the log {keys[0].name}, but the database holds the log {origin}",
            f"put back the database, or move {path.parent} away to begin with a new key",
        )
    return keys


def _write_keys(store: Store, keys: Iterable[SigningKey]) -> None:
    # A temporary file, which this is until it has its name, is readable by its owner alone.
    write_whole(_key_file(store), "".join(f"{key.to_text()}\n" for key in keys).encode())


def _keep_rotation(store: Store, note: SignedNote) -> None:
    folder = _rotations(store)
    folder.mkdir(exist_ok=True)
    kept = rotation_notes(store)
    # One that was interrupted before the old key was gone takes its own place again.
    is_repeated = bool(kept) and _rotation(kept[-1].text) == _rotation(note.text)
    write_whole(folder / f"{len(kept) + (not is_repeated):04}.note", str(note).encode())


def _rotation(text: str) -> tuple[VerifierKey, VerifierKey] | None:
    """The old and the new key that a checkpoint names, if it names any. Raises NoteError."""
    for line in text.splitlines()[3:]:
        if line.startswith(_ROTATION):
            old, _, new = line.removeprefix(_ROTATION).partition(" ")
            return VerifierKey.parse(old), VerifierKey.parse(new)
    return None
