"""Who did what and when, over HTTP: submissions, cancellations, and changes of the service. Imports the store."""

from __future__ import annotations

import json

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11

from ktrdr.api.context import context_of
from ktrdr.api.cursors import link_to_next, read_cursor, write_cursor
from ktrdr.api.moments import DESCRIPTION, read_instant, read_position
from ktrdr.api.requests import Body, read_query
from ktrdr.api.views import event_text
from ktrdr.problems import invalid
from ktrdr.sentences import sentence
from ktrdr.store.actions import find_actions
from ktrdr.store.reader import StoredEvent
from ktrdr.training.faults import Fault


class ActionQuery(Body):
    """Whose actions, and when."""

    actor: str | None = Field(
        None, max_length=200, description="As events name them: `token:ci`, `operator`, `client:127.0.0.1`, `cli:ann`."
    )
    since: str | None = Field(None, max_length=64, description="First moment, such as 2024-05-31T12:00:00Z or a date.")
    until: str | None = Field(None, max_length=64, description=f"Last moment. {DESCRIPTION}")
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=120, description="From `next_cursor` of the page before.")


class ActionView(TypedDict):
    position: int
    recorded_at: str
    actor: str
    #: Of the event.
    type: str
    #: The job, or what of the service it is about: `token:ci`, `setting:caps`.
    subject: str
    #: What was done, in words.
    text: str


class ActionPage(TypedDict):
    #: Newest first. There may be fewer than asked for, or none, although there are more.
    actions: list[ActionView]
    #: Give it as `cursor` for the next page; None on the last.
    next_cursor: str | None


async def actions(request: Request) -> Response:
    """Who did what when, newest first: what somebody decided, and not how jobs went on."""
    query, context = read_query(request, ActionQuery), context_of(request)
    faults: list[Fault] = []
    since = read_instant(query.since, "since", faults, end=False)
    last = read_position(query.until, "until", faults, context.reader)
    first = context.reader.position_at(since) if since else 1
    if cursor := read_cursor(query.cursor, faults, pinned=1):
        last, first = cursor
    if faults:
        raise invalid(faults)
    found, rest = await context.past.ask(
        find_actions,
        first=first,
        last=context.reader.last_position() if last is None else last,
        actor=query.actor,
        limit=query.limit,
    )
    next_cursor = None if rest is None else write_cursor(rest, first)
    body = ActionPage(actions=[_view(event) for event in found], next_cursor=next_cursor)
    return JSONResponse(body, headers=link_to_next(request, cursor=next_cursor))


def _view(event: StoredEvent) -> ActionView:
    return ActionView(
        position=event.position,
        recorded_at=event.recorded_at,
        actor=event.actor,
        type=event.type,
        subject=event.job_id,
        text=sentence(json.loads(event_text(event))),
    )
