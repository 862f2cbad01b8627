"""Who may use the API: whoever knows the token, where one is set. Imports starlette.

The token proves nothing about who asks and gives everything; it travels as it is, so without TLS whoever can listen on
the way has it too.
"""

from __future__ import annotations

import hmac
import ipaddress

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ktrdr.problems import Problem
from ktrdr.training.faults import Fault, InvalidInputError

PROTECTED = "/api/"


class TokenRequired:
    """Lets requests to the API pass that carry the token; the others get 401 before anything is read of them."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PROTECTED) and not self._may_pass(scope):
            problem = Problem(
                "unauthorized",
                401,
                "This service wants a token",
                "the request had none, or another one",
                "set KTRDR_TOKEN to the service's token, or send it as: Authorization: Bearer …",
            )
            response = JSONResponse(
                problem.document(),
                problem.status,
                {"WWW-Authenticate": 'Bearer realm="ktrdr"'},
                media_type="application/problem+json",
            )
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        given = Headers(scope=scope).get("authorization", "").encode()
        return hmac.compare_digest(given, self._expected)


def check_address(host: str, *, has_token: bool) -> str:
    """What an operator must know of listening at this address; empty for one that belongs to this machine alone.

    Raises InvalidInputError for an address that others could reach while no token is wanted of them.
    """
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if is_loopback:
        return ""
    if not has_token:
        raise InvalidInputError(
            [
                Fault(
                    ("KTRDR_HOST",),
                    f"{host!r} can be reached from other machines, and there is no access control",
                    "listen on 127.0.0.1 and forward the port, for example with: ssh -R; or set KTRDR_TOKEN, which "
                    "every client must then know",
                )
            ]
        )
    return (
        f"{host} can be reached from other machines: the token is all that keeps them out, and there is no TLS, so "
        "token and data can be read on the way; use a network that you trust, or put a proxy with TLS before it"
    )
