"""Sessions of browsers: a cookie for a token, which holds none and ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import httpx2
import pytest
from token_service import TokenService

from ktrdr.api.access.sessions import COOKIE, Sessions

PAGE = {"Accept": "text/html"}
JOBS = "/api/v1/jobs"


@pytest.fixture
def browser(token_service: TokenService) -> Iterator[httpx2.Client]:
    """What a browser sends, and keeps."""
    with httpx2.Client(base_url=token_service.url, headers=PAGE, verify=False, trust_env=False, timeout=60) as client:
        yield client


def sign_in(browser: httpx2.Client, token: str, **more: Any) -> httpx2.Response:
    headers = {"Origin": str(browser.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    return browser.post("/sign-in", data={"token": token, **more}, headers=headers)


def test_a_browser_without_a_session_is_led_to_the_form_and_from_there_to_where_it_wanted(
    token_service: TokenService, browser: httpx2.Client
) -> None:
    led = browser.get("/workers?order=name")
    assert (led.status_code, led.headers["location"]) == (303, "/sign-in?next=/workers%3Forder%3Dname")
    form = browser.get(led.headers["location"])
    assert form.status_code == 200
    assert 'value="/workers?order=name"' in form.text
    done = sign_in(browser, token_service.tokens["read"], next="/workers?order=name")
    assert (done.status_code, done.headers["location"]) == (303, "/workers?order=name")
    assert browser.get("/workers").status_code == 200
    assert browser.get(JOBS).status_code == 200


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites_and_holds_no_token(
    token_service: TokenService, browser: httpx2.Client
) -> None:
    answer = sign_in(browser, token_service.tokens["read"])
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "strict", "/", "")
    assert token_service.tokens["read"] not in answer.headers["set-cookie"]


def test_the_cookie_is_for_tls_alone_where_the_service_is_behind_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = TokenService(tmp_path_factory.mktemp("tls") / "home", KTRDR_URL="https://ktrdr.example")
    try:
        running.start("serve")
        answer = running.ask("POST", "/sign-in", data={"token": running.tokens["read"]})
        assert answer.status_code == 303
        assert SimpleCookie(answer.headers["set-cookie"])[COOKIE]["secure"] is True
    finally:
        running.close()


def test_a_session_may_do_what_its_token_may(token_service: TokenService, browser: httpx2.Client) -> None:
    sign_in(browser, token_service.tokens["read"])
    refused = browser.post(JOBS, json={})
    assert refused.status_code == 403
    assert "token:read has: read" in refused.json()["detail"]
    sign_in(browser, token_service.tokens["submit"])
    assert browser.post(JOBS, json={}).status_code == 422
    assert browser.post("/audit/sign").status_code == 403  # a form, for which the API wants another scope


def test_a_session_ends_with_its_token_and_outlives_a_restart(
    token_service: TokenService, browser: httpx2.Client
) -> None:
    sign_in(browser, token_service.make("guest", ["read"]))
    token_service.stop("serve")
    token_service.start("serve")
    assert browser.get(JOBS).status_code == 200
    token_service.revoke("guest")
    assert browser.get(JOBS).status_code == 401
    token_service.make("guest", ["read"])  # of the same name, but another
    assert browser.get(JOBS).status_code == 401
    token_service.revoke("guest")


def test_signing_out_ends_it(token_service: TokenService, browser: httpx2.Client) -> None:
    sign_in(browser, token_service.tokens["read"])
    out = browser.post("/sign-out")
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    assert browser.get(JOBS).status_code == 401


@pytest.mark.parametrize("token", ["", "wr0ng", "wrong-but-long-enough", "ktrdr_" + "0" * 49])
def test_a_wrong_token_signs_nobody_in(token_service: TokenService, browser: httpx2.Client, token: str) -> None:
    refused = sign_in(browser, token, next="/workers")
    assert refused.status_code == 401
    assert "You are not signed in" in refused.text
    assert 'value="/workers"' in refused.text
    assert "set-cookie" not in refused.headers
    assert not token or token not in refused.text


def test_a_token_that_may_not_look_signs_nobody_in(token_service: TokenService, browser: httpx2.Client) -> None:
    refused = sign_in(browser, token_service.tokens["work"])
    assert refused.status_code == 403
    assert "wants the scope read" in refused.text
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "workers"],
)
def test_nobody_is_led_elsewhere(token_service: TokenService, browser: httpx2.Client, elsewhere: str) -> None:
    done = sign_in(browser, token_service.tokens["read"], next=elsewhere)
    assert (done.status_code, done.headers["location"]) == (303, "/")


def forged(value: str) -> Iterator[str]:
    name, digest, end, signature = value.split("~")
    yield f"token:admin~{digest}~{end}~{signature}"
    yield f"{name}~{digest}~{int(end) + 1}~{signature}"
    yield f"{name}~{digest}~{end}~{'0' * 64}"
    yield f"{name}~{digest}~{end}"
    yield f"{name}~{digest}~{end}~"
    yield "~~~"
    yield ""
    yield "ä"


def test_a_cookie_that_was_changed_opens_nothing(token_service: TokenService, browser: httpx2.Client) -> None:
    sign_in(browser, token_service.tokens["read"])
    value = browser.cookies[COOKIE]
    for other in forged(value):
        headers = {"Cookie": f"{COOKIE}={other}".encode()}
        assert token_service.ask("GET", JOBS, headers=headers).status_code == 401, other
    assert token_service.ask("GET", JOBS, headers={"Cookie": f"a=b; {COOKIE}={value}; c=d"}).status_code == 200


def test_a_session_ends_by_itself(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(tmp_path_factory.mktemp("access"))
    value = sessions.begin("token:ci", "ab" * 32)
    cookie = f"{COOKIE}={value}".encode()
    assert sessions.read(cookie) == ("token:ci", "ab" * 8)
    monkeypatch.setattr("ktrdr.api.access.sessions.time.time", lambda: int(value.split("~")[2]))
    assert sessions.read(cookie) is None


def test_the_secret_that_signs_is_for_the_service_alone(token_service: TokenService, browser: httpx2.Client) -> None:
    sign_in(browser, token_service.tokens["read"])
    file = token_service.home / "access" / "session.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_bytes()) == 32
    assert [one.name for one in file.parent.iterdir()] == ["session.key"]


def test_where_no_token_is_wanted_nobody_signs_in(service: Any) -> None:
    assert httpx2.get(f"{service.url}/sign-in").headers["location"] == "/"
