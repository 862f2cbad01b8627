"""Following events without gap or repetition, whatever happens to the connection: the state of it, without the waiting.

Imports httpx2. The position of the last event seen is what a broken stream goes on from.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import httpx2

from ktrdr.client.calls import Following
from ktrdr.client.errors import ServiceUnreachableError
from ktrdr.client.retrying import LONGEST_PAUSE_SECONDS, says_later, seconds_to_wait
from ktrdr.client.transport import api_error

if TYPE_CHECKING:
    from ktrdr.api.views import EventView

T = TypeVar("T")
#: Pauses before a broken stream is opened again; the last one repeats.
_PAUSES = (0.1, 0.3, 1.0, 2.0)
#: The service breaks the silence of a stream every 15 s.
_SILENCE_SECONDS = 40.0
#: With an end to the patience, silence is listened to for less than that, so that the end is not missed.
_SHORT_SILENCE_SECONDS = 10.0
LARGEST_EVENT_BYTES = 16_000_000


class ComeBackLaterError(httpx2.TransportError):
    """The service has no stream to give at the moment."""

    def __init__(self, pause: float) -> None:
        super().__init__("it is not available at the moment")
        self.pause = pause


class Listener(Generic[T]):
    """One who follows. Whoever does the waiting tells it what happens and the time on a steady clock, in seconds.

    It is used as a context manager for as long as it listens.
    """

    def __init__(self, following: Following[T], url: str, now: float) -> None:
        self._following = following
        self._url = url
        self._position = following.after
        self._failures = 0
        self._give_up_at = 0.0
        self._end = None if following.timeout is None else now + following.timeout
        self._opened = ExitStack()
        self._show = self._opened.enter_context(following.show()) if following.show else None
        self._is_over = False

    def __enter__(self) -> Listener[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.close()

    def is_over(self) -> bool:
        """Whether there is nothing more to be heard."""
        return self._is_over

    @property
    def path(self) -> str:
        return self._following.path

    @property
    def headers(self) -> dict[str, str]:
        """Of the request that opens a stream where the last one ended."""
        return {"Accept": "text/event-stream", "Last-Event-ID": str(self._position)}

    def timeout(self, now: float) -> httpx2.Timeout:
        """Of that request. Raises TimeoutError once the following may take no longer."""
        if self._end is None:
            return httpx2.Timeout(10, read=_SILENCE_SECONDS)
        self._look_at(now)
        return httpx2.Timeout(10, read=min(_SHORT_SILENCE_SECONDS, max(0.05, self._end - now)))

    def opened(self, answer: httpx2.Response) -> None:
        """A stream begins; the body of a refusal has been read. Raises ApiError, or what `broke` wants to know."""
        if answer.status_code == 204:
            self._is_over = True
        elif says_later(answer):
            raise ComeBackLaterError(min(seconds_to_wait(answer), LONGEST_PAUSE_SECONDS))
        elif answer.is_error:
            raise api_error(answer)
        self._failures = 0

    def heard(self, sent: httpx2.ServerSentEvent, now: float) -> list[T]:
        """What the caller gets of something that was sent. Raises TimeoutError once all of it may take no longer."""
        self._look_at(now)
        # The hint how soon to connect again and the farewell of a stopping service are no events of the log.
        if not sent.data or sent.event == "server-stopping":
            return []
        event = cast("EventView", json.loads(sent.data))
        self._position = event["position"]
        self._is_over = event["type"] in self._following.ends
        if self._show:
            self._show(event)
        return [self._following.read(event)]

    def broke(self, error: httpx2.TransportError | None, now: float) -> float:
        """The seconds to wait before the next try, after a stream broke or, without an error, was ended by the service.

        Raises ServiceUnreachableError once the service was away for too long, and TimeoutError.
        """
        self._look_at(now)
        if isinstance(error, httpx2.UnsupportedProtocol):  # an address that is none
            raise ServiceUnreachableError(self._url, error)
        if self._end is not None and isinstance(error, httpx2.ReadTimeout):
            return 0.0  # it was silent for a while, as streams are
        if self._failures == 0:
            self._give_up_at = now + self._following.patience_seconds
            if self._following.on_interruption:
                self._following.on_interruption()
        elif now > self._give_up_at:
            raise ServiceUnreachableError(self._url, error or "it ended the stream")
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        return max(pause, error.pause) if isinstance(error, ComeBackLaterError) else pause

    def _look_at(self, now: float) -> None:
        if self._end is not None and now >= self._end:
            raise TimeoutError(f"not over after {self._following.timeout:g} s; it goes on, and can be followed again")
