"""What a token's events add up to, and what is refused."""

from __future__ import annotations

import re

import pytest

from ktrdr.jobs.events import Instant, JobId, Position, Recorded, ServiceEvent
from ktrdr.jobs.refusals import TokenExistsError, UnknownTokenError
from ktrdr.jobs.service.events import TokenCreated, TokenRevoked
from ktrdr.jobs.service.subjects import fold_subject
from ktrdr.jobs.service.tokens import Scope, Token, allowed_by, create, revoke
from ktrdr.store.tokens import TOKEN_FORM, digest_of, is_whole, make_secret

NEW = Token(id=JobId("token:ci"))
EARLY, LATE, LATER = (Instant(f"2026-11-24T0{hour}:00:00.000000Z") for hour in (1, 2, 3))


def after(token: Token, *events: ServiceEvent, at: Instant = EARLY) -> Token:
    history = [
        Recorded(
            position=Position(token.position + number),
            job_id=token.id,
            version=token.version + number,
            at=at,
            actor="cli:ann",
            event=event,
        )
        for number, event in enumerate(events, 1)
    ]
    return fold_subject(history, token)


def made(expires_at: Instant | None = None) -> Token:
    return after(NEW, *create(NEW, scopes=["submit"], digest="aa", expires_at=expires_at, now=EARLY))


def test_a_token_is_good_from_its_creation_until_it_expires_or_is_revoked() -> None:
    assert not NEW.is_good(EARLY)
    token = made(expires_at=LATER)
    assert (token.is_good(LATE), token.is_good(LATER)) == (True, False)
    revoked = after(token, *revoke(token, reason="lost"), at=LATE)
    assert not revoked.is_good(LATE)
    assert (revoked.revoked_at, revoked.revoked_by, revoked.revoke_reason) == (LATE, "cli:ann", "lost")


def test_a_name_belongs_to_one_good_token() -> None:
    with pytest.raises(TokenExistsError, match="ci"):
        create(made(), scopes=["read"], digest="bb", expires_at=None, now=LATE)


def test_the_name_of_a_revoked_token_can_be_given_again() -> None:
    revoked = after(made(), TokenRevoked(reason=""))
    again = after(revoked, *create(revoked, scopes=["read"], digest="bb", expires_at=None, now=LATE))
    assert (again.hash, again.scopes, again.is_good(LATE)) == ("bb", ("read",), True)


def test_an_expired_token_ends_when_its_name_is_given_again() -> None:
    events = create(made(expires_at=LATE), scopes=["read"], digest="bb", expires_at=None, now=LATER)
    assert [type(event) for event in events] == [TokenRevoked, TokenCreated]


def test_to_revoke_twice_changes_nothing_and_to_revoke_nothing_is_refused() -> None:
    assert revoke(after(made(), TokenRevoked(reason="")), reason="again") == ()
    with pytest.raises(UnknownTokenError):
        revoke(NEW, reason="")


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ([], set()),
        (["read"], {Scope.READ}),
        (["submit"], {Scope.READ, Scope.SUBMIT}),
        (["work"], {Scope.WORK}),
        (["work", "read"], {Scope.WORK, Scope.READ}),
        (["admin"], set(Scope)),
        (["of a later version"], set()),
    ],
)
def test_what_the_scopes_include(scopes: list[str], allowed: set[Scope]) -> None:
    assert allowed_by(scopes) == allowed


def test_a_secret_is_known_by_its_form_and_by_its_checksum() -> None:
    secrets = {make_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert TOKEN_FORM.fullmatch(secret)
        assert is_whole(secret)
        wrong = "b" if secret[10] == "a" else "a"
        assert not is_whole(secret[:10] + wrong + secret[11:])
        assert not is_whole(secret[:-1])
    assert not is_whole("")
    assert re.fullmatch("[0-9a-f]{64}", digest_of(b"x"))
