"""Every request counted, timed and, where it is wanted, logged and told to OpenTelemetry. Imports starlette's types.

Streams and long polls take as long as there is nothing to say: they are counted, and have no duration.
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ktrdr.api.observing.durations import Durations
from ktrdr.logs import bind
from ktrdr.spans import Span, Spans
from ktrdr.tracing import TRACEPARENT, current_trace, parse_traceparent

logger = logging.getLogger(__name__)

SLOW_SECONDS = 1.0
#: Sorts of requests: answered at once, waiting for something to happen, streams.
SHORT, WAIT, STREAM = "short", "wait", "stream"
UNMATCHED = "unmatched"
_LOGGED = "_ktrdr_was_logged"
#: What a path parameter is read as: `{lease_epoch:int}`.
_CONVERTER = re.compile(r":\w+}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TRACEPARENT = TRACEPARENT.encode()
#: A worker asks and tells several times a second for as long as a job lasts: its attempt has a span, these have none.
_WITHOUT_SPANS = ("/renew", "/cancellation", "/events", "/healthz", "/readyz", "/metrics", "/api/v1/leases")


class _Answered(NamedTuple):
    """A request that is over."""

    method: str
    #: Template of the path.
    route: str
    status: int
    #: To the end of the answer.
    seconds: float
    sort: str
    #: What nobody caught.
    error: Exception | None

    @property
    def is_slow(self) -> bool:
        return self.sort is SHORT and self.seconds > SLOW_SECONDS


class Traffic:
    """What was counted. Belongs to the event loop."""

    def __init__(self) -> None:
        #: By method, route and status.
        self.requests: Counter[tuple[str, str, int]] = Counter()
        #: By method and route.
        self.seconds: dict[tuple[str, str], Durations] = {}
        self.in_progress: Counter[str] = Counter({SHORT: 0, WAIT: 0, STREAM: 0})

    def count(self, answered: _Answered) -> None:
        """One answer. Where it took as long as there was nothing to say, the duration says nothing."""
        self.requests[answered.method, answered.route, answered.status] += 1
        if answered.sort is SHORT:
            key = (answered.method, answered.route)
            durations = self.seconds.get(key)
            if durations is None:
                durations = self.seconds[key] = Durations()
            durations.observe(answered.seconds)


class Observed:
    """Middleware that observes every request, inside of the one that gives it an id and a place in a trace."""

    def __init__(self, app: ASGIApp, traffic: Traffic, spans: Spans | None, *, logs_every: bool) -> None:
        self._app = app
        self._traffic = traffic
        self._spans = spans
        self._level = logging.INFO if logs_every else logging.DEBUG
        #: By the endpoint's identity, because not every endpoint has a hash; filled by the first request that has one.
        self._routes: dict[int, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        ended: float | None = None
        in_progress = self._traffic.in_progress
        sort, status = (WAIT if _waits(scope) else SHORT), 500
        in_progress[sort] += 1
        state = scope.setdefault("state", {})
        bind({"request_id": state.get("request_id")})
        parent, at = (None, 0) if self._spans is None else (_begin_span(scope, self._spans), time.time_ns())

        async def observe(message: Message) -> None:
            nonlocal sort, status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                if _is_stream(message):
                    in_progress[sort] -= 1
                    sort = STREAM
                    in_progress[sort] += 1
            elif not message.get("more_body"):
                ended = time.perf_counter()
            await send(message)

        error: Exception | None = None
        try:
            await self._app(scope, receive, observe)
        except Exception as caught:
            error = caught
            raise
        finally:
            in_progress[sort] -= 1
            method = scope["method"] if scope["method"] in _METHODS else "other"
            seconds = (ended or time.perf_counter()) - started
            answered = _Answered(method, self._route_of(scope), status, seconds, sort, error)
            self._traffic.count(answered)
            if error is not None or seconds > SLOW_SECONDS or logger.isEnabledFor(self._level):
                self._log(scope, answered)
            if self._spans is not None and sort is SHORT and not answered.route.endswith(_WITHOUT_SPANS):
                self._spans.record(_span(scope, answered, parent=parent, started=at))

    def _route_of(self, scope: Scope) -> str:
        """The template of the path, so that there are as many routes as the service has, whatever is asked for."""
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return UNMATCHED
        if not self._routes:
            self._routes = dict(_templates(scope["app"].routes))
        return self._routes.get(id(endpoint), UNMATCHED)

    def _log(self, scope: Scope, answered: _Answered) -> None:
        about = {
            "method": answered.method, "route": answered.route, "status": answered.status,
            "ms": round(answered.seconds * 1000, 1), "caller": getattr(scope["state"].get("caller"), "name", None),
        }  # fmt: skip
        if answered.error is not None:
            logger.error("%s %s broke", answered.method, answered.route, exc_info=answered.error, extra=about)
            setattr(answered.error, _LOGGED, True)
        elif answered.is_slow:
            logger.warning("%s %s was slow", answered.method, answered.route, extra=about)
        elif logger.isEnabledFor(self._level):
            logger.log(self._level, "%s %s %d", answered.method, answered.route, answered.status, extra=about)


def was_logged(error: BaseException) -> bool:
    """Whether an error has been told here already, so that the server need not tell it once more."""
    return getattr(error, _LOGGED, False)


def _waits(scope: Scope) -> bool:
    """Whether the request may ask for an answer that comes later."""
    if b"wait=" in scope["query_string"] or scope["path"].endswith("/leases"):
        return True
    for name, value in scope["headers"]:  # noqa: SIM110  # `any` with a generator takes twice as long, on every request
        if name == b"prefer" and b"wait" in value:
            return True
    return False


def _is_stream(start: Message) -> bool:
    for name, value in start["headers"]:
        if name == b"content-type":
            return bool(value.startswith(b"text/event-stream"))
    return False


def _templates(routes: Iterable[BaseRoute], prefix: str = "") -> Iterable[tuple[int, str]]:
    for route in routes:
        if isinstance(route, Route):
            yield id(route.endpoint), prefix + _CONVERTER.sub("}", route.path)
        elif isinstance(route, Mount):
            yield id(route.app), f"{prefix}{route.path}/*"
            yield from _templates(route.routes, prefix + route.path)


def _begin_span(scope: Scope, spans: Spans) -> str | None:
    """The span that the request is a part of; the first one of a trace is sampled or not as the operator has set it."""
    given = next((value for name, value in scope["headers"] if name == _TRACEPARENT), b"")
    caller = parse_traceparent(given.decode("latin-1"))
    state = scope["state"]
    if caller is not None and caller.trace_id == state["trace"].trace_id:
        return caller.span_id
    state["trace"] = spans.begin(state["trace"])
    current_trace.set(state["trace"])
    return None


def _span(scope: Scope, answered: _Answered, *, parent: str | None, started: int) -> Span:
    client, state, error = scope.get("client"), scope["state"], answered.error
    return Span(
        name=f"{answered.method} {answered.route}",
        trace=state["trace"],
        parent=parent,
        started=started,
        ended=time.time_ns(),
        attributes={
            "http.request.method": answered.method,
            "http.route": answered.route,
            "url.path": scope["path"],
            "http.response.status_code": answered.status,
            "client.address": client[0] if client else "unknown",
            "ktrdr.request_id": str(state.get("request_id", "")),
        },
        is_server=True,
        error=type(error).__name__ if error else ("" if answered.status >= 500 else None),
    )
