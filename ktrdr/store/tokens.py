"""Tokens on the installation: made, ended, listed, and known again by the service. Imports jobs and the store's parts.

A token is `ktrdr_`, 32 random bytes and a checksum, in letters and digits: scanners of secrets find it, and one that
was cut or mistyped is told from one that was revoked. What is kept of it is its SHA-256; there is nothing to guess in
256 random bits, so no slow hash is needed.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Sequence
from hashlib import sha256
from zlib import crc32

from ktrdr.jobs.events import Instant
from ktrdr.jobs.service.tokens import Token, create, revoke
from ktrdr.store.log import Log, Transaction
from ktrdr.store.reader import Reader

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PREFIX = "ktrdr_"
_RANDOM_WIDTH, _CHECK_WIDTH = 43, 6
#: What a token looks like, wherever it stands.
TOKEN_FORM = re.compile(rf"{_PREFIX}[0-9A-Za-z]{{{_RANDOM_WIDTH + _CHECK_WIDTH}}}")


def make_secret() -> str:
    """A new token, to be shown once."""
    random = _in_digits(int.from_bytes(secrets.token_bytes(32), "big"), _RANDOM_WIDTH)
    return f"{_PREFIX}{random}{_check_of(random)}"


def is_whole(secret: str) -> bool:
    """Whether a text can be a token of ours: of the right form, with the right checksum."""
    body = secret.removeprefix(_PREFIX)
    return TOKEN_FORM.fullmatch(secret) is not None and _check_of(body[:_RANDOM_WIDTH]) == body[_RANDOM_WIDTH:]


def digest_of(secret: bytes) -> str:
    """What is kept of a token."""
    return sha256(secret).hexdigest()


def create_token(
    log: Log, name: str, *, scopes: Sequence[str], expires_at: Instant | None, actor: str
) -> tuple[str, Token]:
    """Records a new token; gives its secret, which is kept nowhere, and what is known of it.

    Raises TokenExistsError, and ValueError for a name that cannot be one.
    """
    secret = make_secret()
    digest = digest_of(secret.encode())

    def write(transaction: Transaction) -> Token:
        return transaction.change_subject(
            Token,
            name,
            lambda token: create(token, scopes=scopes, digest=digest, expires_at=expires_at, now=transaction.now),
            actor=actor,
        )

    return secret, log.write(write)


def revoke_token(log: Log, name: str, *, reason: str, actor: str) -> Token:
    """Records the end of a token. Raises UnknownTokenError, and ValueError for a name that cannot be one."""
    return log.write(
        lambda transaction: transaction.change_subject(
            Token, name, lambda token: revoke(token, reason=reason), actor=actor
        )
    )


def has_token(reader: Reader) -> bool:
    """Whether any token was made that nobody has revoked: then the API wants one of everybody.

    One that has expired counts: a door must not open because time passes.
    """
    return any(not token.is_revoked for token in reader.subjects(Token))


def _in_digits(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _check_of(random: str) -> str:
    return _in_digits(crc32(random.encode()), _CHECK_WIDTH)
