"""Why somebody is not let in, as problems. Imports the problems and the scopes. No token is ever repeated."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ktrdr.jobs.service.tokens import Scope
from ktrdr.problems import Problem

NO_TOKEN = "the request had none"
_REALM = 'Bearer realm="ktrdr"'


def unauthorized(detail: str) -> Problem:
    """Whoever asks shows no token that opens the API."""
    error = "" if detail == NO_TOKEN else ', error="invalid_token"'
    return Problem(
        "unauthorized",
        401,
        "This service wants a token",
        detail,
        "set KTRDR_TOKEN to a token of the service, or send it as: Authorization: Bearer …; its operator makes one "
        "with: ktrdr tokens create",
        headers={"WWW-Authenticate": f"{_REALM}{error}"},
    )


def forbidden(scope: Scope, *, name: str, scopes: frozenset[Scope]) -> Problem:
    """A scope is missing."""
    given = ", ".join(one for one in Scope if one in scopes) or "none"
    return Problem(
        "forbidden",
        403,
        "This is not allowed to whoever asks",
        f"this wants the scope {scope}; {name} has: {given}",
        f"use another token; its operator makes one with: ktrdr tokens create NAME --scope {scope}",
        headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
    )


def not_yours(detail: str, fix: str) -> Problem:
    """What the address names belongs to another token."""
    return Problem("forbidden", 403, "This is not allowed to whoever asks", detail, fix)


def cross_site() -> Problem:
    return Problem(
        "cross-site",
        403,
        "Another site's page caused this request",
        "the browser says that it comes from a page of another origin",
        "use the dashboard of this service itself, or send a token in the header Authorization",
    )


def unknown_host() -> Problem:
    return Problem(
        "unknown-host",
        421,
        "This service does not go by that name",
        "the header Host names another machine, and without tokens no page may reach the service under such a name",
        "use 127.0.0.1 or localhost; or set KTRDR_URL to the address that is meant; or make a token",
    )


def token_in_address() -> Problem:
    return Problem(
        "token-in-address",
        400,
        "A token does not belong into an address",
        "addresses are kept in logs and histories; consider the token known to others",
        "revoke it, make another one, and send that in the header: Authorization: Bearer …",
    )


def too_many(detail: str, wait: float, *, headers: Mapping[str, str] = {}) -> Problem:
    """Whoever asks must wait so many seconds."""
    seconds = max(1, math.ceil(wait))
    return Problem(
        "rate-limited",
        429,
        "Too many requests",
        detail,
        f"ask again in {seconds} s",
        headers={"Retry-After": str(seconds), **headers},
    )
