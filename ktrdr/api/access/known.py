"""The tokens that open the API now, kept in memory and looked at again when the log has grown. Imports the store.

That anything was committed is a glance at shared memory (0.2 µs); that it was about a token, one look at the database
(some µs) after a commit. So a token that was revoked opens nothing from the commit on.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace

from ktrdr.api.access.callers import Caller
from ktrdr.api.access.rates import Rate, RateLimit, address_key
from ktrdr.api.access.refused import too_many, unauthorized
from ktrdr.clock import system_clock, to_instant
from ktrdr.jobs.events import Instant
from ktrdr.jobs.service.tokens import Scope, Token, allowed_by
from ktrdr.store import Store
from ktrdr.store.tokens import digest_of, has_token, is_whole

#: The caller that knows KTRDR_TOKEN.
OPERATOR = "operator"
#: Wrong tokens from one address.
WRONG_TOKENS = Rate(60, 3600.0)


@dataclass(frozen=True, slots=True)
class KnownToken:
    caller: Caller
    digest: str
    expires_at: Instant | None = None
    revoked_at: Instant | None = None

    def trouble(self) -> str:
        """Why it opens nothing; empty while it does."""
        if self.revoked_at is not None:
            return f"was revoked at {self.revoked_at}"
        if self.expires_at is not None and to_instant(system_clock()) >= self.expires_at:
            return f"has expired at {self.expires_at}"
        return ""


class TokenBook:
    """Every token of the installation, by what is kept of it."""

    def __init__(
        self, store: Store, *, operator_token: str | None, is_reachable: bool, last_change: Callable[[], object]
    ) -> None:
        """`last_change` gives another object after each commit, should the glance have missed it."""
        self._reader = store.open_reader()
        self._glance = store.open_glance()
        self._last_change = last_change
        #: From other machines: then nobody gets in without a token, even when there is none.
        self._is_reachable = is_reachable
        self._operator = operator_token and KnownToken(
            Caller(OPERATOR, frozenset(Scope)), digest_of(operator_token.encode())
        )
        self._wrong = RateLimit(WRONG_TOKENS)
        self._seen: tuple[bytes, object] | None = None
        self._position = -1
        self._by_digest: dict[str, KnownToken] = {}
        self._by_name: dict[str, KnownToken] = {}
        self._is_required = True

    def is_required(self) -> bool:
        """Whether a request must show who asks; otherwise everyone on this machine may do everything."""
        self._look()
        return self._is_required

    def by_secret(self, secret: bytes, *, address: str) -> KnownToken:
        """The token that someone shows. Raises the problem `unauthorized`, and `rate-limited` for too many wrong ones.

        A right one is let in however many wrong ones came from its address: 256 bits are not guessed.
        """
        self._look()
        known = self._by_digest.get(digest_of(secret))
        trouble = known.trouble() if known else _why_unknown(secret.decode("latin-1"))
        if known is not None and not trouble:
            return known
        taken = self._wrong.take(address_key(address))
        if taken.wait:
            raise too_many("too many wrong tokens came from this address", taken.wait)
        raise unauthorized(f"the token {trouble}")

    def by_name(self, name: str, digest_start: str) -> KnownToken | None:
        """The token that a session was begun with, if it opens the API still."""
        self._look()
        known = self._by_name.get(name)
        if known is None or not hmac.compare_digest(known.digest[: len(digest_start)], digest_start):
            return None
        return None if known.trouble() else known

    def close(self) -> None:
        self._reader.close()

    def _look(self) -> None:
        seen = (self._glance(), self._last_change())
        if seen == self._seen:
            return
        position = self._reader.newest_of(Token)
        if position != self._position:
            self._learn()
            self._position = position
        self._seen = seen

    def _learn(self) -> None:
        tokens = self._reader.subjects(Token)
        known = [_known(token) for token in tokens]
        if self._operator:
            known.append(self._operator)
        self._by_digest = {one.digest: one for one in known}
        self._by_name = {one.caller.name: one for one in known}
        self._is_required = self._is_reachable or bool(self._operator) or has_token(self._reader)


def _why_unknown(text: str) -> str:
    if not text:
        return "is missing, or not in the form: Authorization: Bearer …"
    was_cut = text.startswith("ktrdr_") and not is_whole(text)
    return "was cut or mistyped" if was_cut else "is none of this service's"


def _known(token: Token) -> KnownToken:
    return KnownToken(
        Caller(token.id, allowed_by(token.scopes)), token.hash, token.expires_at, revoked_at=token.revoked_at
    )


def signed_in(known: KnownToken) -> Caller:
    """The caller of a browser that signed in with a token."""
    return replace(known.caller, is_signed_in=True)
