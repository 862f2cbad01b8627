"""What every request passes before anything is read of it: who asks, from which page, and how often.

Imports starlette and this package's parts. Everything wants a token, where tokens are wanted at all, but for the few
addresses in `PUBLIC`; what a caller may then do, each operation says (`callers.requires`).
"""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ktrdr.api.access.address import is_loopback
from ktrdr.api.access.callers import Caller
from ktrdr.api.access.known import TokenBook, signed_in
from ktrdr.api.access.origins import SAFE_METHODS, Origins
from ktrdr.api.access.rates import RateLimit, Taken, address_key, read_rate
from ktrdr.api.access.refused import NO_TOKEN, cross_site, token_in_address, too_many, unauthorized, unknown_host
from ktrdr.api.access.sessions import Sessions, has_session
from ktrdr.api.problem_answers import problem_answer
from ktrdr.jobs.service import tokens
from ktrdr.problems import Problem
from ktrdr.settings import Settings
from ktrdr.store.tokens import TOKEN_FORM

#: What answers without a token: whether the service lives, how it is used, and the way in.
PUBLIC = ("/healthz", "/readyz", "/openapi.json", "/docs", "/problems", "/sign-in", "/sign-out", "/favicon.ico")
PUBLIC_FOLDERS = ("/static/", "/docs/", "/problems/")
#: What workers ask: they have a rate of their own, so that no limit on people holds up a training.
WORK_FOLDERS = ("/api/v1/leases", "/api/v1/prices/", "/api/v1/workers/")
WORK_FACTOR = 10
#: Requests of one caller that may be open together, streams and long polls among them.
MOST_AT_ONCE = 500
_EVERYTHING = frozenset(tokens.Scope)
_BEARER = b"bearer "
_TOKEN_PARAMETER = re.compile(rb"(?:^|&)(?:access_)?token=", re.IGNORECASE)


class Gate:
    """Lets requests in, with `caller` in their state, or answers them with a problem."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._operator_token = (settings.token or "").encode()
        self._origins = Origins(host=settings.host, url=settings.url)
        #: Pages that the operator lets in; where tokens are wanted, they must show one of their own.
        self._invited = frozenset((settings.cors_origins or "").split())
        rate = read_rate(settings.rate_limit)
        self._limit = RateLimit(rate) if rate else None
        self._work_limit = RateLimit(rate.times(WORK_FACTOR)) if rate else None
        #: How many requests of each caller are open.
        self._open: dict[str, int] = {}
        #: Of those who need no token, by their address.
        self._local: dict[str, Caller] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            answer, limit, taken = self._let_in(scope)
        except Problem as problem:
            answer = problem_answer(problem, scope)
        if answer is not None:
            await answer(scope, receive, send)
            return
        if limit is not None:
            send = _telling(send, limit, taken)
        name, are_open = scope["state"]["caller"].name, self._open
        are_open[name] = are_open.get(name, 0) + 1
        try:
            await self._app(scope, receive, send)
        finally:
            are_open[name] -= 1
            if not are_open[name]:
                del are_open[name]

    def _let_in(self, scope: Scope) -> tuple[Response | None, RateLimit | None, Taken]:
        """Sets `caller`; gives an answer that ends the request here, and what was counted. Raises a problem."""
        self._refuse_secret_in_address(scope)
        context, headers = scope["app"].state.context, dict(scope["headers"])
        book: TokenBook = context.tokens
        state = scope.setdefault("state", {})
        address = scope["client"][0] if scope.get("client") else "unknown"
        if not book.is_required():
            if not self._origins.is_our_host(headers.get(b"host", b"localhost")):
                raise unknown_host()
            if headers.get(b"origin", b"").decode("latin-1") not in self._invited:
                self._refuse_foreign(scope["method"], headers)
            state["caller"] = self._local.get(address) or self._local_caller(address)
            return None, None, _NOTHING_TAKEN
        if authorization := headers.get(b"authorization", b""):
            caller = self._caller_with_token(scope["path"], authorization, book, address)
        else:
            # What a browser sends by itself may be sent for another page.
            self._refuse_foreign(scope["method"], headers)
            caller = _caller_with_session(headers.get(b"cookie", b""), context.sessions, book)
        if caller is None:
            if not is_public(scope["path"]):
                return _way_in(scope, headers), None, _NOTHING_TAKEN
            caller = Caller(f"client:{address}", frozenset())
        state["caller"] = caller
        return None, *self._count(scope["path"], caller, address)

    def _caller_with_token(self, path: str, authorization: bytes, book: TokenBook, address: str) -> Caller | None:
        """Who shows a token; None for a wrong one where none is needed. Raises `unauthorized`."""
        secret = authorization[7:].strip() if authorization[:7].lower() == _BEARER else b""
        try:
            return book.by_secret(secret, address=address).caller
        except Problem:
            if is_public(path):
                return None
            raise

    def _local_caller(self, address: str) -> Caller:
        caller = Caller(f"client:{address}", _EVERYTHING)
        if is_loopback(address):
            self._local[address] = caller
        return caller

    def _count(self, path: str, caller: Caller, address: str) -> tuple[RateLimit | None, Taken]:
        """Counts the request. Raises the problem `too-many-requests`."""
        if self._open.get(caller.name, 0) >= MOST_AT_ONCE:
            raise too_many(f"{MOST_AT_ONCE} requests of {caller.name} are open already", 1.0)
        limit = self._work_limit if path.startswith(WORK_FOLDERS) else self._limit
        if limit is None:
            return None, _NOTHING_TAKEN
        taken = limit.take(caller.name if caller.scopes else address_key(address))
        if taken.wait:
            rate = limit.rate
            raise too_many(
                f"{caller.name} may ask {rate.amount:,} times in {rate.seconds:g} s",
                taken.wait,
                headers={"RateLimit-Policy": limit.policy, "RateLimit": str(taken)},
            )
        return limit, taken

    def _refuse_foreign(self, method: str, headers: dict[bytes, bytes]) -> None:
        site, origin = headers.get(b"sec-fetch-site", b""), headers.get(b"origin", b"")
        if (site or origin) and self._origins.is_foreign(
            method,
            host=headers.get(b"host", b""),
            origin=origin,
            site=site,
            mode=headers.get(b"sec-fetch-mode", b""),
        ):
            raise cross_site()

    def _refuse_secret_in_address(self, scope: Scope) -> None:
        """Addresses end up in logs, histories and the problems that repeat them."""
        query, path = scope["query_string"], scope["path"]
        if not (
            (query and _TOKEN_PARAMETER.search(query))
            or ("ktrdr_" in path and TOKEN_FORM.search(path))
            or (b"ktrdr_" in query and TOKEN_FORM.search(query.decode("latin-1")))
            or (self._operator_token and (self._operator_token in query or self._operator_token in path.encode()))
        ):
            return
        # Whoever logs the request on the way out sees this.
        scope["path"], scope["raw_path"], scope["query_string"] = "/", b"/", b""
        raise token_in_address()


_NOTHING_TAKEN = Taken(0.0, 0, 0.0)


def _caller_with_session(cookies: bytes, sessions: Sessions, book: TokenBook) -> Caller | None:
    session = sessions.read(cookies) if has_session(cookies) else None
    known = book.by_name(*session) if session else None
    return signed_in(known) if known else None


def is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_FOLDERS)


def _way_in(scope: Scope, headers: dict[bytes, bytes]) -> Response:
    """For whoever shows nothing: a browser that wants a page is led to where it can sign in. Raises `unauthorized`."""
    path: str = scope["path"]
    wants_page = scope["method"] in SAFE_METHODS and b"text/html" in headers.get(b"accept", b"")
    if not wants_page or path.startswith("/api/"):
        raise unauthorized(NO_TOKEN)
    query = scope["query_string"].decode("latin-1")
    return RedirectResponse(f"/sign-in?next={quote(f'{path}?{query}' if query else path, safe='/')}", 303)


def _telling(send: Send, limit: RateLimit, taken: Taken) -> Send:
    """Has an answer say how many requests are left."""

    async def send_with_rate(message: Message) -> None:
        if message["type"] == "http.response.start":
            told = [(b"ratelimit-policy", limit.policy.encode()), (b"ratelimit", str(taken).encode())]
            message["headers"] = [*message.get("headers", ()), *told]
        await send(message)

    return send_with_rate
