"""Signing in with a browser where tokens are wanted: the way in, the way out, and what the session may do."""

from __future__ import annotations

from browser import Browser
from running_service import RunningService

TOKEN = "operators-token-of-this-test"


def test_a_token_opens_the_pages_until_one_signs_out(own_service: RunningService, browser: Browser) -> None:
    own_service.start("serve", KTRDR_TOKEN=TOKEN)
    browser.open(f"{own_service.url}/workers")
    assert browser.run("location.pathname") == "/sign-in"
    browser.focus("input[type=password]")
    browser.type("not-the-token-of-this-service")
    browser.click_through("main form button")
    assert browser.run("location.pathname") == "/sign-in"
    browser.focus("input[type=password]")
    browser.type(TOKEN)
    browser.click_through("main form button")
    assert browser.run("location.pathname") == "/workers"
    assert browser.run("document.cookie") == ""  # scripts cannot read it
    assert browser.run("fetch('/api/v1/jobs').then((answer) => answer.status)") == 200
    browser.click_through("form[action='/sign-out'] button")
    browser.open(own_service.url)
    assert browser.run("location.pathname") == "/sign-in"
    browser.complaints.clear()  # the refused sign-in is one
