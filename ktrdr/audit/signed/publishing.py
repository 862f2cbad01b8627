"""Signing by the clock, and telling others of it: witnesses cosign each checkpoint, and a copy is kept elsewhere.

Imports the store, the client's HTTP and this package. What fails is logged once, shown (`read_failures`) and tried
again at the next call; it never keeps the log from being signed.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2

from ktrdr.audit.signed.asking import TIMEOUT_SECONDS, ask
from ktrdr.audit.signed.notes import LogCheckpoint, NoteError, Signature, SignedNote, VerifierKey
from ktrdr.audit.signed.push import PushError, file_of, newest_in, push
from ktrdr.audit.signed.signing import (
    SigningError,
    add_signatures,
    latest_checkpoint,
    require_continuation,
    rotation_notes,
    sign_checkpoint,
    signing_key,
    snapshot,
)
from ktrdr.audit.signed.witness import AddCheckpoint
from ktrdr.client.transport import open_http
from ktrdr.files import write_whole
from ktrdr.jobs.merkle import consistency_proof
from ktrdr.store import Store
from ktrdr.store.database import NotWrittenError
from ktrdr.store.log import Log
from ktrdr.store.tree import read_head, subtree_hashes

logger = logging.getLogger(__name__)


class WitnessError(Exception):
    """A witness did not cosign; the message says why."""


@dataclass(frozen=True, slots=True)
class AskedWitness:
    """A witness that the service asks."""

    url: str
    key: VerifierKey

    @classmethod
    def parse(cls, text: str) -> AskedWitness:
        """From `url=vkey`. Raises NoteError."""
        url, _, key = text.partition("=")
        return cls(url.rstrip("/"), VerifierKey.parse(key))


def parse_witnesses(text: str) -> list[AskedWitness]:
    """From `url=vkey`, separated by spaces or commas. Raises NoteError."""
    return [AskedWitness.parse(one) for one in re.split(r"[\s,]+", text) if one]


def read_failures(store: Store) -> dict[str, str]:
    """What failed at the last try and why: `signing`, or a place or witness by its URL. Empty where all is well."""
    try:
        failures: dict[str, str] = json.loads(_failures_file(store).read_text())
    except FileNotFoundError:
        return {}
    return failures


class Publisher:
    """Signs the log if it has grown, each time it is called, and tells others. Belongs to one thread at a time."""

    def __init__(self, store: Store, log: Log, *, copy: str | None, witnesses: Sequence[AskedWitness]) -> None:
        """`copy` is where checkpoints are kept elsewhere: a file or a URL."""
        self._store = store
        self._log = log
        self._copy = copy
        self._witnesses = witnesses
        #: The size that a witness cosigned last, as far as we know: where its next proof begins.
        self._known_by: dict[str, int] = {}
        #: The text of the note that the copy holds for certain.
        self._kept = ""
        #: What was logged already.
        self._told: dict[str, str] = {}

    def __call__(self) -> None:
        failures: dict[str, str] = {}
        self._try("signing", self._sign, failures)
        for witness in self._witnesses:
            self._try(witness.url, partial(self._ask, witness), failures)
        if self._copy is not None:
            self._try(self._copy, partial(self._keep, self._copy), failures)
        self._tell(failures)

    def _try(self, what: str, action: Callable[[], None], failures: dict[str, str]) -> None:
        try:
            action()
        except (SigningError, WitnessError, PushError, NoteError, NotWrittenError, OSError) as error:
            failures[what] = f"{error}; {error.fix}" if isinstance(error, SigningError) else str(error)

    def _tell(self, failures: dict[str, str]) -> None:
        for what, why in failures.items():
            if self._told.get(what) != why:
                logger.warning("checkpoint of the log: %s: %s", what, why)
        self._told = failures
        with suppress(OSError):  # the disk is full, which was logged as the reason of a failure
            if failures != read_failures(self._store):
                write_whole(_failures_file(self._store), json.dumps(failures).encode())

    def _sign(self) -> None:
        signing_key(self._store)  # made at the first start, although there is nothing to sign yet
        with self._store.engine.connect() as connection:
            is_empty = read_head(connection).size == 0
        if not is_empty:
            sign_checkpoint(self._store, self._log)

    def _ask(self, witness: AskedWitness) -> None:
        with self._store.engine.connect() as connection:
            note = latest_checkpoint(connection)
        if note is None or note.signers([witness.key]):
            return
        with open_http(witness.url, None, timeout=TIMEOUT_SECONDS) as http:
            answer = self._submit(http, witness, note)
            if answer.status_code == httpx2.codes.FORBIDDEN:
                # It may know an old key only: lead it to the present one.
                for handover in rotation_notes(self._store):
                    with suppress(WitnessError):  # it has gone on from this one
                        self._submit(http, witness, handover)
                answer = self._submit(http, witness, note)
        if answer.status_code == httpx2.codes.CONFLICT:
            raise WitnessError("it has cosigned another history of this log: the log was changed")
        if answer.is_error:
            raise WitnessError(f"it answered {answer.status_code}: {answer.text[:200].strip()}")
        signatures = [one for one in _signatures(answer.text) if one.key_id == witness.key.key_id]
        if witness.key not in SignedNote(note.text, tuple(signatures)).signers([witness.key]):
            raise WitnessError(f"it answered without a signature of {witness.key.name}")
        add_signatures(self._log, note, signatures)

    def _submit(self, http: httpx2.Client, witness: AskedWitness, note: SignedNote) -> httpx2.Response:
        """Asks once, and once more from the size that the witness says it knows."""
        answer = self._send(http, note, self._known_by.get(witness.url, 0))
        if answer.status_code == httpx2.codes.CONFLICT and answer.text.strip().isdigit():
            known, size = int(answer.text), LogCheckpoint.parse(note.text).size
            if known > size:
                raise WitnessError(f"it knows {known} events of this log, which has {size}: the log was cut off")
            self._known_by[witness.url] = known
            answer = self._send(http, note, known)
        if not answer.is_error:
            self._known_by[witness.url] = LogCheckpoint.parse(note.text).size
        return answer

    def _send(self, http: httpx2.Client, note: SignedNote, old: int) -> httpx2.Response:
        size = LogCheckpoint.parse(note.text).size
        with self._store.engine.connect() as connection:
            proof = consistency_proof(min(old, size), size, subtree_hashes(connection))
        try:
            content = str(AddCheckpoint(min(old, size), tuple(proof), note)).encode()
            return ask(http, "POST", "/add-checkpoint", content=content)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise WitnessError(f"it cannot be reached: {error or type(error).__name__}") from None

    def _keep(self, copy: str) -> None:
        with snapshot(self._store.engine) as connection:
            note = latest_checkpoint(connection)
            if note is None or note.text == self._kept:
                return
            file = file_of(copy)
            last = newest_in(file) if file else None
            if last is not None and (stated := LogCheckpoint.parse(last.text)).origin == read_head(connection).origin:
                require_continuation(connection, stated, read_head(connection).size)
        push(note, copy)
        self._kept = note.text


def _signatures(lines: str) -> list[Signature]:
    return [Signature.parse(line) for line in lines.splitlines()]


def _failures_file(store: Store) -> Path:
    return store.home / "audit" / "failures.json"
