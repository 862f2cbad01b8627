"""What another site's page can make a browser send gets nowhere, and every answer says what our pages may do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from running_service import RunningService
from token_service import TokenService

from ktrdr.api.access.headers import SECURITY_HEADERS
from ktrdr.api.access.origins import Origins

JOBS = "/api/v1/jobs"
EVIL = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
FORM = {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
PICTURE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
NEIGHBOUR = {"Origin": "http://127.0.0.1:9999", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}


def ask(service: RunningService, method: str, path: str, headers: dict[str, str]) -> httpx2.Response:
    return service.http.request(method, service.url + path, headers=headers)


@pytest.mark.parametrize("headers", [EVIL, FORM, LINK, PICTURE, NEIGHBOUR, {"Origin": "https://evil.example"}])
def test_another_sites_page_changes_nothing(service: RunningService, headers: dict[str, str]) -> None:
    answer = ask(service, "POST", JOBS, headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/cross-site"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        (LINK, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        (EVIL, 403),
        (PICTURE, 403),
        (NEIGHBOUR, 403),
    ],
)
def test_whose_page_may_look(service: RunningService, headers: dict[str, str], status: int) -> None:
    assert ask(service, "GET", JOBS, headers).status_code == status


def test_a_page_of_ours_and_a_program_may_change_things(service: RunningService) -> None:
    ours = {"Origin": service.url, "Sec-Fetch-Site": "same-origin"}
    assert ask(service, "POST", JOBS, ours).status_code == 422
    assert ask(service, "POST", JOBS, {}).status_code == 422


def test_a_session_does_not_work_for_another_sites_page(token_service: TokenService) -> None:
    ours = {"Origin": token_service.url, "Sec-Fetch-Site": "same-origin"}
    signed = token_service.ask("POST", "/sign-in", headers=ours, data={"token": token_service.tokens["admin"]})
    cookie = {"Cookie": signed.headers["set-cookie"].partition(";")[0]}
    assert token_service.ask("POST", JOBS, headers={**cookie, **ours}).status_code == 422
    for headers in (EVIL, FORM, NEIGHBOUR):
        assert token_service.ask("POST", JOBS, headers={**cookie, **headers}).status_code == 403
    assert token_service.ask("POST", "/sign-in", headers=FORM, data={"token": "x"}).status_code == 403
    # A token in a header is nothing that a browser adds by itself.
    assert token_service.ask("POST", JOBS, "submit", headers=EVIL).status_code == 422


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", "[::2]:8321", "10.0.0.1"]
)
def test_a_name_that_is_not_ours_is_not_served_without_tokens(service: RunningService, host: str) -> None:
    for path in (JOBS, "/", "/healthz"):
        answer = ask(service, "GET", path, {"Host": host})
        assert answer.status_code == 421
        assert answer.json()["type"] == "/problems/unknown-host"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]:8321", "ktrdr.localhost"]
)
def test_the_names_of_this_machine_are(service: RunningService, host: str) -> None:
    assert ask(service, "GET", JOBS, {"Host": host}).status_code == 200


def test_the_name_that_the_operator_gives_is_served() -> None:
    origins = Origins(host="127.0.0.1", url="https://Train.Example/")
    assert origins.is_our_host(b"train.example")
    assert origins.is_our_host(b"TRAIN.example:443")
    assert not origins.is_our_host(b"example")
    behind_proxy = {"host": b"127.0.0.1:8321", "site": b"same-origin", "mode": b"cors"}
    assert not origins.is_foreign("POST", origin=b"https://train.example", **behind_proxy)
    assert origins.is_foreign("POST", origin=b"http://train.example", **behind_proxy)


@pytest.fixture
def inviting(tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(tmp_path / "home", KTRDR_CORS_ORIGINS="https://desk.example")
    try:
        running.start("serve")
        yield running
    finally:
        running.close()


def test_the_pages_that_the_operator_invites_may(inviting: RunningService) -> None:
    desk = {**EVIL, "Origin": "https://desk.example"}
    answer = ask(inviting, "POST", JOBS, desk)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (422, "https://desk.example")
    assert "access-control-allow-credentials" not in answer.headers
    refused = ask(inviting, "POST", JOBS, EVIL)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", JOBS, 200),
        ("GET", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("DELETE", JOBS, 405),
        ("POST", JOBS, 422),
        ("GET", "/static/x/frame.js", 200),
        ("GET", "/workers", 200),
    ],
)
def test_every_answer_has_the_headers_that_protect(
    service: RunningService, method: str, path: str, status: int
) -> None:
    answer = ask(service, method, path, {})
    assert answer.status_code == status
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers.get_list(name) == [value]
    assert "server" not in answer.headers


def test_refusals_have_them_too(service: RunningService, token_service: TokenService) -> None:
    for answer in (
        ask(service, "GET", JOBS, {"Host": "evil.example"}),
        ask(service, "POST", JOBS, EVIL),
        token_service.ask("GET", JOBS),
        token_service.ask("GET", "/workers", headers={"Accept": "text/html"}),
    ):
        assert answer.headers["content-security-policy"] == SECURITY_HEADERS["Content-Security-Policy"]


def test_the_policy_lets_nothing_inline_run() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    for rule in ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert rule in policy.split("; ")
