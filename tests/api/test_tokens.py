"""Tokens of the installation: made and revoked while the service runs, in the log, and kept nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from cli.commands import ktrdr
from running_service import RunningService
from strategies import short
from token_service import OPERATOR, TokenService

from ktrdr.client import Client

JOBS = "/api/v1/jobs"


@pytest.fixture
def here(token_service: TokenService, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's commands are about the shared service."""
    for name in ("KTRDR_HOME", "KTRDR_URL"):
        monkeypatch.setenv(name, token_service.environment[name])
    monkeypatch.setenv("KTRDR_TOKEN", token_service.tokens["admin"])


@pytest.mark.usefixtures("here")
def test_a_token_opens_the_api_from_its_creation_until_its_revocation(
    token_service: TokenService, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ktrdr(capsys, "tokens", "create", "nightly", "--scope", "submit", "--expires", "90d")
    assert made.code == 0, made.err
    secret = made.out.strip()
    assert secret.startswith("ktrdr_")
    assert secret not in made.err
    assert token_service.ask("GET", JOBS, secret).status_code == 200

    again = ktrdr(capsys, "tokens", "create", "nightly", "--scope", "read")
    assert (again.code, again.out) == (1, "")
    assert "revoke it first" in again.err

    listed = ktrdr(capsys, "tokens", "list")
    assert "nightly" in listed.out
    assert secret not in listed.out

    assert ktrdr(capsys, "tokens", "revoke", "nightly", "--reason", "lost").code == 0
    refused = token_service.ask("GET", JOBS, secret)
    assert refused.status_code == 401
    assert "the token was revoked at " in refused.json()["detail"]
    state = {one["name"]: one for one in ktrdr(capsys, "tokens", "list", "--json").json["tokens"]}["nightly"]
    assert (state["state"], state["revoke_reason"], state["scopes"]) == ("revoked", "lost", ["submit"])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create", "CI", "--scope", "read"), "small letters"),
        (("create", "ci"), "--scope"),
        (("create", "ci", "--scope", "root"), "root"),
        (("create", "ci", "--scope", "read", "--expires", "soon"), "90d"),
        (("revoke", "nobody"), "there is no token nobody"),
        (("revoke", "ktrdr_" + "a" * 49), "give its name"),
    ],
)
def test_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str) -> None:
    ran = ktrdr(capsys, "tokens", *arguments)
    assert ran.code != 0
    assert told in ran.err
    assert "a" * 49 not in ran.err


def test_an_expired_token_opens_nothing_and_does_not_open_the_door(token_service: TokenService) -> None:
    expired = token_service.make("brief", ["read"], seconds=-1)
    refused = token_service.ask("GET", JOBS, expired)
    assert refused.status_code == 401
    assert "the token has expired at " in refused.json()["detail"]


def test_a_token_that_was_cut_is_told_from_one_of_another_service(token_service: TokenService) -> None:
    cut = token_service.ask("GET", JOBS, token_service.tokens["read"][:-1])
    assert (cut.status_code, cut.json()["detail"]) == (401, "the token was cut or mistyped")
    foreign = token_service.ask("GET", JOBS, "another-service's")
    assert (foreign.status_code, foreign.json()["detail"]) == (401, "the token is none of this service's")


def test_the_log_says_who_made_which_token_and_keeps_its_hash_alone(token_service: TokenService) -> None:
    page = token_service.ask("GET", "/api/v1/events?limit=50", "read").json()
    created = {event["data"]["name"]: event for event in page["events"] if event["type"] == "TokenCreated"}
    event = created["submit"]
    assert (event["actor"], event["job_id"]) == (OPERATOR, "token:submit")
    assert event["data"]["hash"] == hashlib.sha256(token_service.tokens["submit"].encode()).hexdigest()
    assert event["data"]["scopes"] == ["submit"]


def test_the_log_says_which_token_did_what(token_service: TokenService) -> None:
    token_service.import_samples()
    with Client(token_service.url, token=token_service.tokens["submit"]) as client:
        job_id = client.submit(short(), symbols=["IBM"])["id"]
        client.cancel(job_id, reason="only tried")
    did = token_service.ask("GET", "/api/v1/audit/actions?actor=token:submit", "read").json()["actions"]
    assert [(one["type"], one["subject"]) for one in did[:2]] == [
        ("CancellationRequested", job_id),
        ("JobSubmitted", job_id),
    ]
    assert did[0]["text"] == "token:submit asked to cancel it: only tried"
    assert all(one["actor"] == "token:submit" for one in did)


def test_a_service_takes_its_tokens_up_again_when_it_starts(token_service: TokenService) -> None:
    token_service.stop("serve")
    token_service.start("serve")
    assert token_service.ask("GET", JOBS).status_code == 401
    assert token_service.ask("GET", JOBS, "read").status_code == 200


@pytest.fixture
def open_service(tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(tmp_path / "home")
    try:
        yield running
    finally:
        running.close()


def test_the_first_token_shuts_the_door_and_revoking_the_last_one_opens_it_on_this_machine(
    open_service: RunningService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_service.start("serve")
    monkeypatch.setenv("KTRDR_HOME", str(open_service.home))
    assert httpx2.get(open_service.url + JOBS).status_code == 200
    first = ktrdr(capsys, "tokens", "create", "me", "--scope", "admin")
    assert "wants a token of everyone" in first.err
    assert httpx2.get(open_service.url + JOBS).status_code == 401
    last = ktrdr(capsys, "tokens", "revoke", "me")
    assert "everyone on this machine may do everything" in last.err
    assert httpx2.get(open_service.url + JOBS).status_code == 200


def test_a_service_that_others_can_reach_starts_with_a_token_alone_and_lets_nobody_in_without_one(
    tmp_path: Path,
) -> None:
    running = TokenService(tmp_path / "home", KTRDR_HOST="0.0.0.0")
    try:
        running.start("serve")
        assert running.ask("GET", JOBS, "read").status_code == 200
        for name in running.tokens:
            running.revoke(name)
        assert running.ask("GET", JOBS).status_code == 401
        assert running.ask("GET", JOBS, "read").status_code == 401
    finally:
        running.close()
