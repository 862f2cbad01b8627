"""Signing in with a token and out again, and who may look at which page. Imports the access and the rendering.

The template `sign_in.html` gets `next` (where to go then) and `fault` (what was wrong, or None); its form POSTs the
fields `token` and `next` to /sign-in.
"""

from __future__ import annotations

from functools import wraps
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ktrdr.api.access.callers import Handler, caller_of, may
from ktrdr.api.access.gate import is_public
from ktrdr.api.access.origins import SAFE_METHODS
from ktrdr.api.access.refused import forbidden
from ktrdr.api.access.sessions import end_session, set_session
from ktrdr.api.context import context_of
from ktrdr.api.dashboard.forms import read_form
from ktrdr.api.dashboard.rendering import page, problem_page
from ktrdr.jobs.service.tokens import Scope
from ktrdr.problems import Problem

HOME = "/"
#: Forms that do what the API wants another scope for than `submit`.
_SCOPES = {"/audit/sign": Scope.ADMIN}


async def show_sign_in(request: Request) -> Response:
    """The form; or on to the page, for whoever needs no token or has signed in."""
    following = _local(request.query_params.get("next", ""))
    if not context_of(request).tokens.is_required() or may(request, Scope.READ):
        return RedirectResponse(following, 303)
    return page(request, "sign_in.html", next=following, fault=None)


async def sign_in(request: Request) -> Response:
    """Begins a session for the token of the form."""
    try:
        form = await read_form(request)
    except Problem as problem:
        return problem_page(request, problem)
    context, following = context_of(request), _local(form.text("next"))
    address = request.client.host if request.client else "unknown"
    try:
        known = context.tokens.by_secret(form.text("token").encode(), address=address)
        if Scope.READ not in known.caller.scopes:
            raise forbidden(Scope.READ, name=known.caller.name, scopes=known.caller.scopes)
    except Problem as problem:
        return page(
            request,
            "sign_in.html",
            status=problem.status,
            headers=problem.headers,
            next=following,
            fault=problem.detail,
        )
    answer = RedirectResponse(following, 303, {"Cache-Control": "no-store"})
    set_session(answer, context.sessions.begin(known.caller.name, known.digest), is_https=_is_https(request))
    return answer


async def sign_out(request: Request) -> Response:
    """Has the browser forget the session."""
    answer = RedirectResponse("/sign-in", 303, {"Cache-Control": "no-store"})
    end_session(answer, is_https=_is_https(request))
    return answer


def guarded(route: Route) -> Route:
    """The route of a page, for those who may look; that of a form, for those who may submit what it does."""
    if is_public(route.path):
        return route
    handler: Handler = route.endpoint

    @wraps(handler)
    async def guarded_page(request: Request) -> Response:
        scope = Scope.READ if request.method in SAFE_METHODS else _SCOPES.get(route.path, Scope.SUBMIT)
        if not may(request, scope):
            caller = caller_of(request)
            return problem_page(request, forbidden(scope, name=caller.name, scopes=caller.scopes))
        return await handler(request)

    return Route(route.path, guarded_page, methods=list(route.methods or ()), name=route.name)


def _local(address: str) -> str:
    """Where to go next: a path of ours, whatever someone wrote into the link that led here."""
    parts = urlsplit(address)
    is_path = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if is_path and not parts.scheme and not parts.netloc and "\\" not in address else HOME


def _is_https(request: Request) -> bool:
    """Whether the browser came by TLS, be it to a proxy before us."""
    return request.url.scheme == "https" or context_of(request).settings.url.startswith("https:")


#: Beside the pages of `ktrdr.api.dashboard`.
SIGN_IN_PAGES = (
    Route("/sign-in", show_sign_in, methods=["GET"]),
    Route("/sign-in", sign_in, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
)
