"""A token that opens the API, as a subject of the log: what it may do, and when it may still. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ktrdr.jobs.events import Instant, Recorded, ServiceEvent
from ktrdr.jobs.refusals import TokenExistsError, UnknownTokenError
from ktrdr.jobs.service.events import TokenCreated, TokenRevoked
from ktrdr.jobs.service.subject import Subject


class Scope(StrEnum):
    """What a token may do; each operation of the API wants one of them."""

    #: Look at everything: jobs, events, models, audit.
    READ = "read"
    #: Look at everything; submit, cancel, retry and fork jobs; store strategies, prices and schedules.
    SUBMIT = "submit"
    #: Work on jobs, as host workers do. Not: look around.
    WORK = "work"
    #: Everything, settings and signing among it.
    ADMIN = "admin"


_INCLUDED: dict[str, frozenset[Scope]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.SUBMIT: frozenset({Scope.READ, Scope.SUBMIT}),
    Scope.WORK: frozenset({Scope.WORK}),
    Scope.ADMIN: frozenset(Scope),
}


def allowed_by(scopes: Iterable[str]) -> frozenset[Scope]:
    """The scopes with those that they include; a scope that this version does not know allows nothing."""
    return frozenset().union(*(_INCLUDED.get(scope, frozenset()) for scope in scopes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(Subject):
    scopes: tuple[str, ...] = ()
    #: SHA-256 of the token.
    hash: str = ""
    created_at: Instant | None = None
    created_by: str = ""
    #: None = never.
    expires_at: Instant | None = None
    revoked_at: Instant | None = None
    revoked_by: str = ""
    revoke_reason: str = ""

    @property
    def is_revoked(self) -> bool:
        return self.revoked_at is not None

    def has_expired(self, now: Instant) -> bool:
        return self.expires_at is not None and now >= self.expires_at

    def is_good(self, now: Instant) -> bool:
        """Whether it opens the API."""
        return self.version > 0 and not self.is_revoked and not self.has_expired(now)


def token_changes(_token: Token, recorded: Recorded) -> Mapping[str, Any]:
    match recorded.event:
        case TokenCreated() as created:
            return {
                "scopes": created.scopes,
                "hash": created.hash,
                "created_at": recorded.at,
                "created_by": recorded.actor,
                "expires_at": created.expires_at,
                "revoked_at": None,
                "revoked_by": "",
                "revoke_reason": "",
            }
        case TokenRevoked(reason=reason):
            return {"revoked_at": recorded.at, "revoked_by": recorded.actor, "revoke_reason": reason}
    return {}


def create(
    token: Token, *, scopes: Sequence[str], digest: str, expires_at: Instant | None, now: Instant
) -> tuple[ServiceEvent, ...]:
    """A token under a name that none has that still opens the API. Raises TokenExistsError."""
    if token.is_good(now):
        raise TokenExistsError(token.name)
    # One that has merely expired gives its name away, and that is its end.
    ended = (TokenRevoked(reason="expired"),) if token.version > 0 and not token.is_revoked else ()
    created = TokenCreated(
        name=token.name, scopes=tuple(scope for scope in Scope if scope in scopes), hash=digest, expires_at=expires_at
    )
    return (*ended, created)


def revoke(token: Token, *, reason: str) -> tuple[ServiceEvent, ...]:
    """The end of a token; one that was revoked before stays as it was. Raises UnknownTokenError."""
    if token.version == 0:
        raise UnknownTokenError(token.name)
    return () if token.is_revoked else (TokenRevoked(reason=reason),)
