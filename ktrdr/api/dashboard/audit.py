"""The page of the audit: the log's tree and who signed it, whether it is sound, and its newest events.

Imports the audit and this package's own parts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ktrdr.api.access.callers import may
from ktrdr.api.access.refused import forbidden
from ktrdr.api.audit_proofs import damage_told, with_log
from ktrdr.api.context import actor_of, context_of
from ktrdr.api.dashboard.rendering import as_page, page
from ktrdr.api.views import EventView
from ktrdr.audit.signed.notes import LogCheckpoint, SignedNote, to_base64
from ktrdr.audit.signed.publishing import read_failures
from ktrdr.audit.signed.signing import has_keys, published_keys, rotation_notes, sign_checkpoint, snapshot
from ktrdr.jobs.identity import is_job_id
from ktrdr.jobs.service.tokens import Scope
from ktrdr.problems import Problem
from ktrdr.sentences import sentence
from ktrdr.store import Store
from ktrdr.store.reader import StoredEvent
from ktrdr.store.schema import log_checkpoints
from ktrdr.store.tree import read_head

#: Newest events on the page.
_SHOWN_EVENTS = 30


@dataclass(frozen=True, slots=True)
class Signed:
    """The newest checkpoint, for people."""

    size: int
    root: str
    at: str
    note: str
    #: Names of the keys: the log's own, and those of witnesses.
    by: Sequence[str]
    cosigned_by: Sequence[str]


@dataclass(frozen=True, slots=True)
class Tree:
    """The log's tree now, and what of it is signed."""

    origin: str
    size: int
    root: str
    signed: Signed | None
    #: How many checkpoints there are.
    checkpoints: int
    #: The keys that it was signed by, oldest first, and how often one handed over to the next.
    keys: Sequence[str]
    rotations: int
    #: What failed at the last try to sign or to tell others, and why.
    failures: dict[str, str]


@as_page
async def show_audit(request: Request) -> Response:
    """Tree, checkpoint, keys, verification and the newest events."""
    context = context_of(request)
    position = context.reader.last_position()
    tree: Tree | None = None
    trouble: Problem | None = None
    try:
        tree = await asyncio.to_thread(_read_tree, context.store)
    except Problem as problem:  # a damaged log is what this page is for
        trouble = problem
    events = context.reader.events(after=max(0, position - _SHOWN_EVENTS), limit=_SHOWN_EVENTS)
    return page(
        request,
        "audit.html",
        tree=tree,
        trouble=trouble,
        position=position,
        events=[_shown(event) for event in reversed(events)],
        course=context.verification.course,
        may_sign=may(request, Scope.ADMIN),
        may_verify=may(request, Scope.SUBMIT),
    )


@as_page
async def show_verification(request: Request) -> Response:
    """How far the verification is, for the page's script."""
    verification = context_of(request).verification
    return page(request, "verification.html", course=verification.course, may_verify=may(request, Scope.SUBMIT))


@as_page
async def sign_now(request: Request) -> Response:
    """Signs the log as it is; then the page again."""
    if not may(request, Scope.ADMIN):
        caller = request.scope["state"]["caller"]
        raise forbidden(Scope.ADMIN, name=caller.name, scopes=caller.scopes)
    store = context_of(request).store
    await asyncio.to_thread(with_log, store, lambda log: sign_checkpoint(store, log))
    return RedirectResponse("/audit#signed", 303)


@as_page
async def verify_now(request: Request) -> Response:
    """Begins to verify the whole log, unless that is being done already; then the page again."""
    context = context_of(request)
    context.verification.start(by=actor_of(request), events=context.reader.last_position())
    return RedirectResponse("/audit#verification", 303)


def _read_tree(store: Store) -> Tree:
    with damage_told():
        keys = published_keys(store) if has_keys(store) else []
        with snapshot(store.engine) as connection:
            head = read_head(connection)
            newest = select(log_checkpoints).order_by(log_checkpoints.c.size.desc()).limit(1)
            row = connection.execute(newest).first()
            sizes = connection.execute(select(log_checkpoints.c.size)).all()
        own = {key.name for key in keys}
        return Tree(
            origin=head.origin,
            size=head.size,
            root=to_base64(head.root),
            signed=None if row is None else _signed(row.note, row.signed_at, own),
            checkpoints=len(sizes),
            keys=[*map(str, keys)],
            rotations=len(rotation_notes(store)),
            failures=read_failures(store),
        )


def _signed(text: str, at: str, own: set[str]) -> Signed:
    note = SignedNote.parse(text)
    stated = LogCheckpoint.parse(note.text)
    names = list(dict.fromkeys(signature.name for signature in note.signatures))
    return Signed(
        size=stated.size,
        root=to_base64(stated.root),
        at=at,
        note=text,
        by=[name for name in names if name in own],
        cosigned_by=[name for name in names if name not in own],
    )


def _shown(event: StoredEvent) -> dict[str, Any]:
    view = EventView(
        position=event.position,
        job_id=event.job_id,
        version=event.version,
        type=event.type,
        schema=event.schema,
        recorded_at=event.recorded_at,
        actor=event.actor,
        data=json.loads(event.data) if event.data else None,
    )
    return {"event": view, "sentence": sentence(view), "is_of_job": is_job_id(event.job_id)}
