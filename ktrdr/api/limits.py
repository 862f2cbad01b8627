"""How much of a request is read before anyone looks at what it says. Imports starlette's types and the problems.

Bodies have limits of their own (`ktrdr.api.requests`); so have pages, in the models of the queries.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from ktrdr.api.problem_answers import problem_answer
from ktrdr.problems import Problem, address_too_long, headers_too_large

#: Of path and query together.
ADDRESS_BYTES = 8192
QUERY_PARAMETERS = 200
HEADER_BYTES = 32_768


class Limited:
    """Refuses requests whose address or headers are larger than any that makes sense."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = _problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_answer(problem, scope)(scope, receive, send)


def _problem(scope: Scope) -> Problem | None:
    query: bytes = scope["query_string"]
    if len(scope["path"]) + len(query) > ADDRESS_BYTES:
        return address_too_long(f"{ADDRESS_BYTES:,} bytes of path and query")
    if query and query.count(b"&") >= QUERY_PARAMETERS:
        return address_too_long(f"{QUERY_PARAMETERS} parameters")
    size = 0
    for name, value in scope["headers"]:
        size += len(name) + len(value)
    return headers_too_large(HEADER_BYTES) if size > HEADER_BYTES else None
