"""HTTP to the service with patience: what got no answer is sent again until it gets one.

Imports httpx2 and the client's transport.
Everything in the worker protocol may be repeated, so a broken network, a lost answer and a service that restarts look
the same from here: a pause, somewhat random and growing, and the request again.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any

import httpx2

from ktrdr.client.transport import PREFIX, api_error, open_http
from ktrdr.tracing import TRACEPARENT, Trace

logger = logging.getLogger(__name__)

#: Says whether to stop trying.
GivenUp = Callable[[], bool]

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
#: A service that says so often that it made a mistake will say so for ever.
MISTAKES_SECONDS = 300.0
TIMEOUT = httpx2.Timeout(10.0, connect=5.0)
_LOOK_SECONDS = 0.1


class LeaseLostError(Exception):
    """The job is no longer this worker's."""


class RefusedError(Exception):
    """The service does not accept what was sent, and would not if it were sent again."""

    def __init__(self, detail: str, *, name: str = "", status: int = 0) -> None:
        super().__init__(detail)
        #: The last part of the problem's type: `invalid-request`, `missing-upload`, …
        self.name = name
        self.status = status


class GivenUpError(Exception):
    """There was no answer for as long as there was a point in waiting for one."""


class NoAnswerError(Exception):
    """A request got no answer, or none of substance."""


class Pauses:
    """The pauses between tries: growing, somewhat random, from the beginning again after any progress."""

    def __init__(self, given_up: GivenUp, longest: float = LONGEST_PAUSE_SECONDS) -> None:
        self._given_up = given_up
        self._longest = longest
        self._next = FIRST_PAUSE_SECONDS

    def restart(self) -> None:
        self._next = FIRST_PAUSE_SECONDS

    def pause(self, trouble: object) -> None:
        """Raises GivenUpError, with the trouble, once there is no point in going on."""
        until = time.monotonic() + random.uniform(0.5, 1.0) * min(self._next, self._longest)
        self._next *= 2
        while (left := until - time.monotonic()) > 0 and not self._given_up():
            time.sleep(min(left, _LOOK_SECONDS))
        if self._given_up():
            raise GivenUpError(str(trouble))


class Connection:
    """A connection pool to one service. Safe to use from several threads."""

    def __init__(self, url: str, token: str | None) -> None:
        # The service closes what was idle for five seconds.
        limits = httpx2.Limits(keepalive_expiry=4.0)
        self._http = open_http(url.rstrip("/") + PREFIX, token, timeout=TIMEOUT, limits=limits)
        self._headers: dict[str, str] = {}

    def within(self, trace: Trace) -> Connection:
        """The same connections, for requests that belong to a trace."""
        traced = copy(self)
        traced._headers = {TRACEPARENT: trace.traceparent}
        return traced

    def request(
        self,
        method: str,
        path: str,
        *,
        given_up: GivenUp,
        longest_pause: float = LONGEST_PAUSE_SECONDS,
        **content: Any,
    ) -> httpx2.Response:
        """The answer to a request, however often it has to be sent.

        Raises LeaseLostError, RefusedError and GivenUpError.
        """
        pauses = Pauses(given_up, longest_pause)
        first_mistake: float | None = None
        is_held_up = False
        while True:
            try:
                answer = self.request_once(method, path, **content)
            except NoAnswerError as error:
                if error.args[1:] == (500,):
                    first_mistake = first_mistake or time.monotonic()
                    if time.monotonic() - first_mistake > MISTAKES_SECONDS:
                        raise RefusedError(f"the service makes a mistake of {method} {path}", status=500) from None
                if not is_held_up:
                    is_held_up = True
                    logger.warning("%s %s: %s; trying again until there is an answer", method, path, error.args[0])
                pauses.pause(error.args[0])
            else:
                if is_held_up:
                    logger.info("%s %s: answered", method, path)
                return answer

    def request_once(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **content: Any
    ) -> httpx2.Response:
        """The answer to a request that is sent once. Raises LeaseLostError, RefusedError and NoAnswerError."""
        try:
            answer = self._http.request(method, path, headers={**self._headers, **(headers or {})}, **content)
        except httpx2.TransportError as error:
            raise NoAnswerError(str(error) or type(error).__name__) from None
        _check(answer)
        return answer

    @contextmanager
    def download(self, path: str, offset: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """The bytes of a file after an offset, and the offset that they really begin at.

        Raises LeaseLostError, RefusedError and NoAnswerError, also while the bytes are read.
        """
        headers = self._headers | ({"Range": f"bytes={offset}-"} if offset else {})
        try:
            with self._http.stream("GET", path, headers=headers) as answer:
                if answer.status_code == 416:  # there is nothing after the offset
                    yield offset, iter(())
                    return
                if answer.is_error:
                    answer.read()
                    _check(answer)
                yield offset if answer.status_code == 206 else 0, answer.iter_raw()
        except httpx2.TransportError as error:
            raise NoAnswerError(str(error) or type(error).__name__) from None

    def close(self) -> None:
        self._http.close()


def _check(answer: httpx2.Response) -> None:
    if answer.status_code >= 500:
        raise NoAnswerError(f"the service answered with status {answer.status_code}", answer.status_code)
    if answer.status_code < 400:
        return
    error = api_error(answer)
    detail = "; ".join([str(error), *(f"{one['path']}: {one['detail']}" for one in error.errors)])
    name = str(error.problem.get("type", "")).rpartition("/")[2]
    if name in ("lease-lost", "unknown-job"):
        raise LeaseLostError(detail)
    raise RefusedError(detail, name=name, status=answer.status_code)
