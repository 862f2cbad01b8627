"""What ties a request to its traces elsewhere: an id on every answer, and the W3C trace that it is a part of.

Imports starlette's types and the trace context.
"""

from __future__ import annotations

import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ktrdr.tracing import TRACEPARENT, continue_trace, current_trace

#: What a client may choose as the id of its request: nothing that could break a log or a header.
_ID = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
_TRACEPARENT = TRACEPARENT.encode()
REQUEST_ID = "X-Request-Id"
_REQUEST_ID = REQUEST_ID.lower().encode()


class Correlated:
    """Gives each request `request_id` and `trace` in its state, and each answer the header `X-Request-Id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = traceparent = b""
        for name, value in scope["headers"]:
            # One that is there twice says two things, so nothing.
            if name == _REQUEST_ID:
                request_id = b"?" if request_id else value
            elif name == _TRACEPARENT:
                traceparent = b"?" if traceparent else value
        if not _ID.fullmatch(request_id):
            request_id = secrets.token_hex(16).encode()
        trace = continue_trace(traceparent.decode("latin-1"))
        state = scope.setdefault("state", {})
        state["request_id"], state["trace"] = request_id.decode(), trace
        current_trace.set(trace)  # of this request's own task

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (_REQUEST_ID, request_id)]
            await send(message)

        await self._app(scope, receive, send_with_id)
