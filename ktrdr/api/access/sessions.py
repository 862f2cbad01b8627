"""Sessions of browsers: a signed cookie that names the token it was begun with. Imports starlette's answers.

The cookie holds no token: it is the token's name, the beginning of its digest and an end, signed with a secret of the
installation. So a session outlives a restart of the API, and ends with its token.
"""

from __future__ import annotations

import hmac
import os
import secrets
import time
from pathlib import Path

from starlette.responses import Response

COOKIE = "ktrdr_session"
#: A session lasts as long, if its token does.
SESSION_SECONDS = 7 * 24 * 3600
_COOKIE_START = f"{COOKIE}=".encode()
_DIGEST_START = 16
_SECRET_BYTES = 32


class Sessions:
    """Makes and reads the cookie's value."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "session.key"
        self._secret = b""

    def begin(self, name: str, digest: str) -> str:
        """The value of the cookie for a browser that showed a token. Raises OSError."""
        said = f"{name}~{digest[:_DIGEST_START]}~{int(time.time()) + SESSION_SECONDS}"
        return f"{said}~{_sign(self._make_secret(), said)}"

    def read(self, cookies: bytes) -> tuple[str, str] | None:
        """The name and the beginning of the digest of the token that a `Cookie` header speaks of, if we signed it."""
        value = _value_of(cookies)
        said, _, signature = value.rpartition("~")
        secret = self._secret or self._read_secret()
        if not secret or not hmac.compare_digest(signature.encode(), _sign(secret, said).encode()):
            return None
        name, digest_start, end = said.split("~")
        return (name, digest_start) if time.time() < int(end) else None

    def _read_secret(self) -> bytes:
        try:
            self._secret = self._file.read_bytes()
        except FileNotFoundError:
            return b""
        return self._secret

    def _make_secret(self) -> bytes:
        """The installation's secret, made by the first process that needs one."""
        if secret := self._read_secret():
            return secret
        self._file.parent.mkdir(parents=True, exist_ok=True)
        own = self._file.with_name(f"session.{secrets.token_hex(8)}.part")
        with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(own, self._file)
        except FileExistsError:
            pass  # another process was first
        finally:
            own.unlink()
        return self._read_secret()


def set_session(response: Response, value: str, *, is_https: bool) -> None:
    """Has the browser keep the session: for us alone, and never for a script."""
    response.set_cookie(
        COOKIE, value, max_age=SESSION_SECONDS, path="/", secure=is_https, httponly=True, samesite="strict"
    )


def end_session(response: Response, *, is_https: bool) -> None:
    response.delete_cookie(COOKIE, path="/", secure=is_https, httponly=True, samesite="strict")


def has_session(cookies: bytes) -> bool:
    return _COOKIE_START in cookies


def _value_of(cookies: bytes) -> str:
    for part in cookies.split(b";"):
        cookie = part.strip()
        if cookie.startswith(_COOKIE_START):
            return cookie[len(_COOKIE_START) :].decode("latin-1")
    return ""


def _sign(secret: bytes, said: str) -> str:
    return hmac.digest(secret, said.encode(), "sha256").hex()
