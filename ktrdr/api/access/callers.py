"""Who asks, and what they may: a caller in each request's state, looked at by each operation. Imports starlette."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ktrdr.api.access.refused import forbidden
from ktrdr.jobs.service.tokens import Scope

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Caller:
    #: As events name it: `token:ci`, `operator` for KTRDR_TOKEN, `client:127.0.0.1` where no token is wanted.
    name: str
    #: With those that they include.
    scopes: frozenset[Scope]
    #: Whether a browser asks, which has signed in.
    is_signed_in: bool = False

    @property
    def has_own_token(self) -> bool:
        """Whether it can be told from every other caller."""
        return self.name.startswith("token:")


def caller_of(request: HTTPConnection) -> Caller:
    """Who asks; without any scope where that is not known."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def may(request: HTTPConnection, scope: Scope) -> bool:
    return scope in caller_of(request).scopes


def requires(scope: Scope, handler: Handler) -> Handler:
    """The handler, for callers with the scope; others get the problem `forbidden`."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        caller: Caller = request.scope["state"]["caller"]
        if scope not in caller.scopes:
            raise forbidden(scope, name=caller.name, scopes=caller.scopes)
        return await handler(request)

    return guarded
