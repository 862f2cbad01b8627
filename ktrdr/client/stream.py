"""Following the events of a job without gap or repetition, whatever happens to the connection.

Imports httpx2 and the names of the terminal events. The position of the last event seen is all the state there is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import httpx2

from ktrdr.client.transport import ServiceUnreachableError, Transport, api_error
from ktrdr.jobs.codec import TERMINAL_TYPES

if TYPE_CHECKING:
    from ktrdr.api.views import EventView

#: Pauses before a broken stream is opened again; the last one repeats.
_PAUSES = (0.1, 0.3, 1.0, 2.0)
#: The service breaks the silence of a stream every 15 s.
_TIMEOUT = httpx2.Timeout(10, read=40)
_LARGEST_EVENT_BYTES = 16_000_000


class _NothingLeftError(Exception):
    """The job has ended, and all of it was seen."""


def follow_events(
    transport: Transport,
    path: str,
    after: int,
    patience_seconds: float,
    on_interruption: Callable[[], None] | None,
) -> Iterator[EventView]:
    """The events after a position as they happen, until the job ends.

    Raises ApiError, and ServiceUnreachableError once the service was away for `patience_seconds`.
    """
    failures, give_up_at = 0, 0.0
    while True:
        error: httpx2.HTTPError | str = "it ended the stream"
        try:
            with _open(transport, path, after) as answer:
                failures = 0
                for event in _events(answer):
                    after = event["position"]
                    yield event
                    if event["type"] in TERMINAL_TYPES:
                        return
        except _NothingLeftError:
            return
        except httpx2.TransportError as broken:
            error = broken
        if failures == 0:
            give_up_at = time.monotonic() + patience_seconds
            if on_interruption:
                on_interruption()
        elif time.monotonic() > give_up_at:
            raise ServiceUnreachableError(transport.url, error)
        time.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
        failures += 1


@contextmanager
def _open(transport: Transport, path: str, after: int) -> Iterator[httpx2.Response]:
    """A stream that begins after a position."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    with transport.stream(path, headers=headers, timeout=_TIMEOUT) as answer:
        if answer.status_code == 204:
            raise _NothingLeftError
        if answer.status_code == 503:
            raise httpx2.ReadError("it is not available at the moment")
        if answer.is_error:
            answer.read()
            raise api_error(answer)
        yield answer


def _events(answer: httpx2.Response) -> Iterator[EventView]:
    for sent in httpx2.EventSource(answer, max_event_size=_LARGEST_EVENT_BYTES):
        # The hint how soon to connect again and the farewell of a stopping service are no events of the log.
        if sent.data and sent.event != "server-stopping":
            yield cast("EventView", json.loads(sent.data))
