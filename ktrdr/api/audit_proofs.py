"""Proofs of the log over HTTP: its checkpoints, its keys, and that it holds an event and only grew.

Imports the audit and the store. Hashes are base64, as in checkpoints. What reads many rows or waits for a lock runs in
a thread of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import Field
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11

from ktrdr.api.context import context_of, job_id_of
from ktrdr.api.requests import Body, read_query
from ktrdr.audit.signed.notes import LogCheckpoint, NoteError, SignedNote, to_base64
from ktrdr.audit.signed.proofs import consistency as consistency_of
from ktrdr.audit.signed.proofs import inclusion as inclusion_of
from ktrdr.audit.signed.proofs import prove_job
from ktrdr.audit.signed.publishing import read_failures
from ktrdr.audit.signed.signing import (
    SigningError,
    checkpoint_covering,
    latest_checkpoint,
    published_keys,
    rotation_notes,
    sign_checkpoint,
    snapshot,
)
from ktrdr.jobs.events import JobId
from ktrdr.problems import conflict, invalid, not_found
from ktrdr.store import Store
from ktrdr.store.log import Log
from ktrdr.store.schema import log_checkpoints
from ktrdr.store.tree import MissingEventsError, read_head
from ktrdr.training.faults import Fault

Result = TypeVar("Result")


class CheckpointQuery(Body):
    """Which checkpoints of the log a list holds."""

    limit: int = Field(50, ge=1, le=500)
    before: int | None = Field(None, ge=0, lt=2**63, description="Only smaller trees: from `next_before`.")


class InclusionQuery(Body):
    """Which event, in which tree."""

    position: int = Field(ge=1, lt=2**63, description="Of the event.")
    size: int | None = Field(
        None, ge=1, lt=2**63, description="Of the tree; without it the smallest signed one that holds the event."
    )


class ConsistencyQuery(Body):
    """Which two trees."""

    old: int = Field(ge=0, lt=2**63, alias="from", description="Size of the earlier tree.")
    new: int | None = Field(None, ge=0, lt=2**63, alias="to", description="Size of the later; without it the newest.")


class SignedCheckpoint(TypedDict):
    """One checkpoint of the log."""

    #: Events that it covers.
    size: int
    root: str
    signed_at: str
    #: Names of the keys under which it is signed: the log's, and those of witnesses.
    signers: list[str]
    note: str


class SignedCheckpointPage(TypedDict):
    """Checkpoints, newest first."""

    checkpoints: list[SignedCheckpoint]
    next_before: int | None
    #: What failed at the last try to sign, to keep a copy elsewhere, or to have a witness cosign → why.
    failures: dict[str, str]


class LogKeys(TypedDict):
    """The keys that this log was signed by."""

    #: Oldest first; the last one signs now.
    keys: list[str]
    #: The checkpoints by which one key handed over to the next, oldest first.
    rotations: list[str]


class InclusionProof(TypedDict):
    """That an event is in a tree (RFC 6962, 2.1.1)."""

    position: int
    #: Of its leaf: one less.
    index: int
    size: int
    leaf_hash: str
    proof: list[str]
    root: str
    #: The signed checkpoint of this tree, if there is one.
    checkpoint: str | None


ConsistencyProof = TypedDict(
    "ConsistencyProof",
    {"from": int, "to": int, "proof": list[str], "from_root": str, "to_root": str, "checkpoint": str | None},
)
ConsistencyProof.__doc__ = """That one tree is the beginning of another (RFC 6962, 2.1.2)."""


async def sign(request: Request) -> Response:
    """Signs the log as it is now and gives the checkpoint; the same one again if it has not grown."""
    store = context_of(request).store
    return PlainTextResponse(str(await asyncio.to_thread(with_log, store, lambda log: sign_checkpoint(store, log))))


async def latest(request: Request) -> Response:
    """The newest checkpoint of the log, as a signed note."""
    with damage_told(), context_of(request).store.engine.connect() as connection:
        note = latest_checkpoint(connection)
    if note is None:
        raise not_found("the log has not been signed yet", fix="sign it now with: ktrdr audit checkpoint")
    return PlainTextResponse(str(note))


async def list_signed(request: Request) -> Response:
    """The checkpoints of the log, newest first, and what failed lately."""
    store, query = context_of(request).store, read_query(request, CheckpointQuery)
    asked = select(log_checkpoints).order_by(log_checkpoints.c.size.desc()).limit(query.limit)
    if query.before is not None:
        asked = asked.where(log_checkpoints.c.size < query.before)
    with damage_told(), store.engine.connect() as connection:
        found = [_signed_checkpoint(row.note, row.signed_at) for row in connection.execute(asked)]
    next_before = found[-1]["size"] if len(found) == query.limit else None
    page = SignedCheckpointPage(checkpoints=found, next_before=next_before, failures=read_failures(store))
    return JSONResponse(page)


async def keys(request: Request) -> Response:
    """Every key that the log was signed by, and the checkpoints that lead from one to the next."""
    store = context_of(request).store
    with damage_told():
        found = await asyncio.to_thread(published_keys, store)
        return JSONResponse(LogKeys(keys=[*map(str, found)], rotations=[*map(str, rotation_notes(store))]))


async def inclusion(request: Request) -> Response:
    """The proof that an event is in the log, over a tree of it."""
    query = read_query(request, InclusionQuery)
    return JSONResponse(await asyncio.to_thread(_inclusion, context_of(request).store, query))


async def consistency(request: Request) -> Response:
    """The proof that a later tree of the log begins with an earlier one."""
    query = read_query(request, ConsistencyQuery)
    return JSONResponse(await asyncio.to_thread(_consistency, context_of(request).store, query))


async def prove(request: Request) -> Response:
    """A proof, which verifies alone, of the newest event of a job: of its end, once it has ended."""
    store, job_id = context_of(request).store, job_id_of(request)
    proof = await asyncio.to_thread(with_log, store, lambda log: prove_job(store, log, JobId(job_id)))
    return PlainTextResponse(str(proof), headers={"Content-Disposition": f'attachment; filename="{job_id}.tlog-proof"'})


def with_log(store: Store, action: Callable[[Log], Result]) -> Result:
    """What an action gives that may sign the log; for a thread. Raises a problem if the log cannot be signed."""
    # A log of its own: that of the event loop belongs to the event loop.
    log = store.open_log()
    try:
        with damage_told():
            return action(log)
    finally:
        log.close()


@contextmanager
def damage_told() -> Iterator[None]:
    """A log, key or checkpoint that was damaged is no mistake of the service, and whoever asks has to know."""
    try:
        yield
    except SigningError as error:
        raise conflict(str(error), fix=error.fix) from None
    except (MissingEventsError, NoteError) as error:
        raise conflict(f"the log is damaged: {error}", fix="find out more with: ktrdr audit verify") from None


def _signed_checkpoint(text: str, signed_at: str) -> SignedCheckpoint:
    note = SignedNote.parse(text)
    stated = LogCheckpoint.parse(note.text)
    return SignedCheckpoint(
        size=stated.size,
        root=to_base64(stated.root),
        signed_at=signed_at,
        signers=[signature.name for signature in note.signatures],
        note=text,
    )


def _inclusion(store: Store, query: InclusionQuery) -> InclusionProof:
    with damage_told(), snapshot(store.engine) as connection:
        newest = read_head(connection).size
        note = checkpoint_covering(connection, query.size or query.position)
        size = query.size or (_size(note) if note else newest)
        if size > newest:
            raise invalid([_beyond("size", size, newest)])
        if query.position > size:
            raise invalid([_beyond("position", query.position, size)])
        found = inclusion_of(connection, query.position, size)
    return InclusionProof(
        position=query.position,
        index=query.position - 1,
        size=size,
        leaf_hash=to_base64(found.leaf_hash),
        proof=[*map(to_base64, found.hashes)],
        root=to_base64(found.root),
        checkpoint=str(note) if note and _size(note) == size else None,
    )


def _consistency(store: Store, query: ConsistencyQuery) -> ConsistencyProof:
    with damage_told(), snapshot(store.engine) as connection:
        newest = read_head(connection).size
        new = newest if query.new is None else query.new
        if new > newest:
            raise invalid([_beyond("to", new, newest)])
        if query.old > new:
            raise invalid([_beyond("from", query.old, new)])
        found = consistency_of(connection, query.old, new)
        note = checkpoint_covering(connection, new)
    return {
        "from": query.old,
        "to": new,
        "proof": [*map(to_base64, found.hashes)],
        "from_root": to_base64(found.old_root),
        "to_root": to_base64(found.new_root),
        "checkpoint": str(note) if note and _size(note) == new else None,
    }


def _beyond(name: str, given: int, most: int) -> Fault:
    return Fault((name,), f"{given} is beyond the tree: it has {most} events", f"give at most {most}")


def _size(note: SignedNote) -> int:
    return LogCheckpoint.parse(note.text).size
