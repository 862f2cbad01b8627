"""Who did what when, from the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from audited_log import grow, write_log
from cli.commands import ktrdr
from token_service import OPERATOR, TokenService

from ktrdr.client import Client
from ktrdr.store.actions import ACTION_TYPES, find_actions

ACTIONS = "/api/v1/audit/actions"


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenService]:
    """A service in which things were done."""
    running = TokenService(tmp_path_factory.mktemp("acted") / "home")
    try:
        running.start("serve")
        for fair_by in ("desk", "team", None):
            assert running.ask("PATCH", "/api/v1/settings", "admin", json={"fair_by": fair_by}).status_code == 200
        running.make("guest", ["read"])
        running.revoke("guest")
        yield running
    finally:
        running.close()


def test_it_says_who_did_what_newest_first(acted: TokenService) -> None:
    done = acted.ask("GET", ACTIONS, "read").json()
    assert done["next_cursor"] is None
    assert [(one["actor"], one["subject"], one["text"]) for one in done["actions"][:5]] == [
        (OPERATOR, "token:guest", "the token was revoked: of no use any more"),
        (OPERATOR, "token:guest", "the token guest was made: it may read"),
        ("token:admin", "setting:fair_by", "the setting fair_by went back to its default"),
        ("token:admin", "setting:fair_by", "the setting fair_by was set to team"),
        ("token:admin", "setting:fair_by", "the setting fair_by was set to desk"),
    ]
    assert [one["position"] for one in done["actions"]] == list(range(len(done["actions"]), 0, -1))


def test_it_is_asked_by_actor_and_by_time(acted: TokenService) -> None:
    everything = acted.ask("GET", ACTIONS, "read").json()["actions"]
    by_admin = acted.ask("GET", f"{ACTIONS}?actor=token:admin", "read").json()["actions"]
    assert by_admin == [one for one in everything if one["actor"] == "token:admin"]
    assert acted.ask("GET", f"{ACTIONS}?actor=nobody", "read").json()["actions"] == []
    first = everything[-1]["recorded_at"]
    assert acted.ask("GET", f"{ACTIONS}?since={first}", "read").json()["actions"] == everything
    assert acted.ask("GET", f"{ACTIONS}?since=2100-01-01", "read").json()["actions"] == []
    assert acted.ask("GET", f"{ACTIONS}?until=2", "read").json()["actions"] == everything[-2:]
    for wrong in ("since=never", "until=never", "cursor=x", "limit=0", "who=me"):
        assert acted.ask("GET", f"{ACTIONS}?{wrong}", "read").status_code == 422


def test_pages_together_are_the_whole(acted: TokenService) -> None:
    everything = acted.ask("GET", ACTIONS, "read").json()["actions"]
    found, query = [], "limit=2"
    while True:
        answer = acted.ask("GET", f"{ACTIONS}?{query}", "read")
        found += answer.json()["actions"]
        cursor = answer.json()["next_cursor"]
        assert (cursor is not None) == ('rel="next"' in answer.headers.get("link", ""))
        if cursor is None:
            break
        query = f"limit=2&cursor={cursor}"
    assert found == everything


def test_the_command_shows_it(
    acted: TokenService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTRDR_URL", acted.url)
    monkeypatch.setenv("KTRDR_TOKEN", acted.tokens["read"])
    shown = ktrdr(capsys, "audit", "actions", "--actor", "token:admin", "--limit", "2")
    assert shown.code == 0, shown.err
    assert "the setting fair_by was set to team" in shown.out
    assert "set to desk" not in shown.out
    assert "there are more than the 2 shown" in shown.err
    whole = ktrdr(capsys, "audit", "actions", "--json").json["actions"]
    with Client(acted.url, token=acted.tokens["read"]) as client:
        assert client.actions(limit=500)["actions"] == whole


def test_a_long_log_is_looked_through_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = write_log(tmp_path)
    log = store.open_log()
    for _ in range(20):
        grow(log)
    reader = store.open_reader()
    last = reader.last_position()
    expected = [event.position for event in reader.events(limit=1000) if event.type in ACTION_TYPES][::-1]
    assert 20 < len(expected) < last
    monkeypatch.setattr("ktrdr.store.actions._PART", 3)
    monkeypatch.setattr("ktrdr.store.actions.MOST_LOOKED_AT", 7)
    for limit in (1, 2, 1000):
        found, rest = [], last
        while rest is not None:
            part, rest = find_actions(reader, first=1, last=rest, limit=limit)
            assert len(part) <= limit
            found += [event.position for event in part]
        assert found == expected
    log.close()
    reader.close()
