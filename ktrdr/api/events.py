"""Events over HTTP: pages as JSON, and live streams as server-sent events that resume without gap or repeat.

Imports the store. One address serves both; the stream is for those who accept `text/event-stream`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ktrdr.api.context import Context, context_of, job_id_of
from ktrdr.api.cursors import link_to_next
from ktrdr.api.requests import Body, read_query
from ktrdr.api.views import event_text
from ktrdr.jobs.codec import TERMINAL_TYPES
from ktrdr.problems import invalid
from ktrdr.store.reader import StoredEvent
from ktrdr.training.faults import Fault

#: Silence after which a stream says that it is alive, for proxies that end quiet connections.
HEARTBEAT_SECONDS = 15.0
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

#: (after, limit) → the events after that position, oldest first.
ReadPage = Callable[[int, int], Sequence[StoredEvent]]


class EventQuery(Body):
    """Which events."""

    after: int = Field(0, ge=0, description="A position; events after it are given.")
    limit: int = Field(200, ge=1, le=1000)


async def job_events(request: Request) -> Response:
    """The events of one job: a page, or a stream that ends with the job."""
    context, job_id = context_of(request), job_id_of(request)
    state = context.reader.job(job_id)  # 404 for a job that is not there, rather than an empty page

    def read(after: int, limit: int) -> Sequence[StoredEvent]:
        return context.reader.job_events(job_id, after=after, limit=limit)

    if _wants_stream(request) and state.status.is_final and _resume_after(request) >= state.position:
        return Response(status_code=204)  # by the HTML standard this stops a browser from connecting again
    return _respond(request, context, read, ends_with_job=True)


async def all_events(request: Request) -> Response:
    """The events of every job, in the order of the log: a page, or a stream without end."""
    context = context_of(request)
    return _respond(
        request, context, lambda after, limit: context.reader.events(after=after, limit=limit), ends_with_job=False
    )


def _respond(request: Request, context: Context, read: ReadPage, *, ends_with_job: bool) -> Response:
    query = read_query(request, EventQuery)
    if _wants_stream(request):
        stream = _stream(context, read, after=_resume_after(request) or query.after, ends_with_job=ends_with_job)
        return StreamingResponse(stream, media_type="text/event-stream", headers=_STREAM_HEADERS)
    page = read(query.after, query.limit)
    last = page[-1].position if page else query.after
    body = f'{{"events":[{",".join(map(event_text, page))}],"last_position":{last}}}'
    headers = link_to_next(request, after=last if len(page) == query.limit else None)
    return Response(body, media_type="application/json", headers=headers)


def _wants_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def _resume_after(request: Request) -> int:
    """The position of the last event that the client has seen, if it says so."""
    text = request.headers.get("last-event-id", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise invalid([Fault(("Last-Event-ID",), f"{text[:80]!r} is not a position", "send the id of an event")])
    return int(text or 0)


async def _stream(context: Context, read: ReadPage, *, after: int, ends_with_job: bool) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    while not context.watch.is_stopping:
        change = context.watch.next_change()
        page = read(after, 200)
        if page:
            after = page[-1].position
            yield "".join(map(_frame, page))
            if ends_with_job and page[-1].type in TERMINAL_TYPES:
                return
        elif not await context.watch.wait(change, HEARTBEAT_SECONDS):
            yield ": still here\n\n"
    yield "event: server-stopping\ndata: {}\n\n"


def _frame(event: StoredEvent) -> str:
    return f"id: {event.position}\nevent: {event.type}\ndata: {event_text(event)}\n\n"
