"""Events over HTTP: pages as JSON, and live streams as server-sent events that resume without gap or repeat.

Imports the store. One address serves both; the stream is for those who accept `text/event-stream`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ktrdr.api.conditions import is_unchanged, unchanged
from ktrdr.api.context import Context, context_of, job_id_of
from ktrdr.api.cursors import link_to_next
from ktrdr.api.requests import Body, read_query
from ktrdr.api.tail import Frame, frame_of
from ktrdr.api.views import event_text
from ktrdr.jobs.codec import TERMINAL_TYPES
from ktrdr.jobs.events import JobId
from ktrdr.problems import invalid
from ktrdr.store.reader import StoredEvent
from ktrdr.training.faults import Fault

#: Silence after which a stream says that it is alive, for proxies that end quiet connections.
HEARTBEAT_SECONDS = 15.0
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

#: As many events are sent at once.
_PAGE = 200

#: (after, limit) → the events after that position, oldest first.
ReadPage = Callable[[int, int], Sequence[StoredEvent]]


class EventQuery(Body):
    """Which events."""

    after: int = Field(0, ge=0, lt=2**63, description="A position; events after it are given.")
    limit: int = Field(200, ge=1, le=1000)


async def job_events(request: Request) -> Response:
    """The events of one job: a page, or a stream that ends with the job."""
    context, job_id = context_of(request), job_id_of(request)
    state = context.reader.job(job_id)  # 404 for a job that is not there, rather than an empty page

    def read(after: int, limit: int) -> Sequence[StoredEvent]:
        return context.reader.job_events(job_id, after=after, limit=limit)

    if _wants_stream(request) and state.status.is_final and _begins_after(request) >= state.position:
        return Response(status_code=204)  # by the HTML standard this stops a browser from connecting again
    return _respond(request, context, read, job_id)


async def all_events(request: Request) -> Response:
    """The events of every job, in the order of the log: a page, or a stream without end."""
    context = context_of(request)
    return _respond(request, context, lambda after, limit: context.reader.events(after=after, limit=limit), None)


def _respond(request: Request, context: Context, read: ReadPage, job_id: JobId | None) -> Response:
    query = read_query(request, EventQuery)
    if _wants_stream(request):
        if request.method == "HEAD":
            return Response(media_type="text/event-stream", headers=_STREAM_HEADERS)
        stream = _stream(context, read, job_id, after=_begins_after(request))
        return StreamingResponse(stream, media_type="text/event-stream", headers=_STREAM_HEADERS)
    page = read(query.after, query.limit)
    last = page[-1].position if page else query.after
    body = f'{{"events":[{",".join(map(event_text, page))}],"last_position":{last}}}'
    headers = link_to_next(request, after=last if len(page) == query.limit else None)
    # What was pruned is shown without its data.
    etag = f'W/"{last}-{len(page)}-{sum(event.data == "" for event in page)}"'
    if is_unchanged(request, etag):
        return unchanged(etag, headers)
    return Response(body, media_type="application/json", headers={**headers, "ETag": etag})


def _wants_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def _resume_after(request: Request) -> int:
    """The position of the last event that the client has seen, if it says so."""
    text = request.headers.get("last-event-id", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise invalid([Fault(("Last-Event-ID",), f"{text[:80]!r} is not a position", "send the id of an event")])
    return int(text or 0)


def _begins_after(request: Request) -> int:
    """Where a stream begins: after what the client has seen or, the first time, where it asks for."""
    return _resume_after(request) or read_query(request, EventQuery).after


async def _stream(context: Context, read: ReadPage, job_id: JobId | None, *, after: int) -> AsyncIterator[bytes]:
    """The events of a job, or of all of them, from the log as far as it is older, and from its shared end on."""
    tail = context.tail
    yield b"retry: 1000\n\n"
    while not context.watch.is_stopping:
        change = tail.read()
        if (newest := tail.after(after)) is None:
            # Its last position was read before the page, so nothing in between can be missed.
            last, page = tail.last, read(after, _PAGE)
            frames: Sequence[Frame] = [frame_of(event) for event in page]
            after = page[-1].position if len(page) == _PAGE else max(last, page[-1].position if page else 0)
        else:
            frames = newest[:_PAGE]
            after += len(frames)
            if job_id is not None:
                frames = [frame for frame in frames if frame.job_id == job_id]
            if not newest and not await context.watch.wait(change, HEARTBEAT_SECONDS):
                yield b": still here\n\n"
        if frames:
            yield b"".join([frame.data for frame in frames])
            if job_id is not None and frames[-1].type in TERMINAL_TYPES:
                return
    yield b"event: server-stopping\ndata: {}\n\n"
