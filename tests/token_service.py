"""A service that wants tokens, with one for each scope, made as an operator makes them but without a process each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
from running_service import RunningService

from ktrdr.clock import later, system_clock, to_instant
from ktrdr.jobs.service.tokens import Scope
from ktrdr.store import open_store
from ktrdr.store.tokens import create_token, revoke_token

OPERATOR = "cli:ann"


class TokenService(RunningService):
    """Its tokens are named like their scopes."""

    def __init__(self, home: Path, **settings: str) -> None:
        super().__init__(home, **settings)
        #: Without cookies and without the time that a context for TLS takes.
        self._asking = httpx2.Client(base_url=self.url, verify=False, trust_env=False, timeout=60)
        self.tokens = {str(scope): self.make(str(scope), [scope]) for scope in Scope}

    def make(self, name: str, scopes: Sequence[str], *, seconds: float | None = None) -> str:
        """A token, which expires so many seconds from now."""
        log = open_store(self.home).open_log()
        expires_at = None if seconds is None else later(to_instant(system_clock()), seconds)
        secret, _ = create_token(log, name, scopes=scopes, expires_at=expires_at, actor=OPERATOR)
        log.close()
        return secret

    def revoke(self, name: str) -> None:
        log = open_store(self.home).open_log()
        revoke_token(log, name, reason="of no use any more", actor=OPERATOR)
        log.close()

    def ask(self, method: str, path: str, token: str | None = None, **request: Any) -> httpx2.Response:
        """A request with the token of a scope, or any other token."""
        headers = dict(request.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        self._asking.cookies.clear()
        return self._asking.request(method, path, headers=headers, **request)

    def close(self) -> None:
        super().close()
        self._asking.close()
