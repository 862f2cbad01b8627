"""Comparison, new job, workers and audit in a real browser, under the policy that the service sends."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import httpx2
import pytest
from browser import Browser
from running_service import RunningService, wait_until
from strategies import endless, short

UNKNOWN = "01900000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def three(service: RunningService) -> list[str]:
    """Jobs that differ in epochs, symbols and seed."""
    wishes = ((2, ["IBM"], 3), (3, ["IBM", "AAPL"], 3), (2, ["IBM"], 4))
    submitted = [
        service.client.submit(short(epochs), symbols=symbols, seed=seed)["id"] for epochs, symbols, seed in wishes
    ]
    for job_id in submitted:
        service.wait_for(job_id, "completed")
    return submitted


def comparison(service: RunningService, *job_ids: str, **more: str) -> str:
    return f"{service.url}/compare?{urlencode([*(('job', job_id) for job_id in job_ids), *more.items()])}"


def texts(browser: Browser, selector: str) -> list[str]:
    found: list[str] = browser.run(
        f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.innerText)"
    )
    return found


def test_three_jobs_lie_over_each_other(service: RunningService, browser: Browser, three: list[str]) -> None:
    browser.open(comparison(service, *three))
    browser.wait_for("document.querySelectorAll('.chart canvas').length === 4")
    assert [text.strip() for text in texts(browser, ".compared .swatch")] == ["A", "B", "C"]
    rows = {
        path: [text.strip() for text in texts(browser, f"[data-part=differing] tr:nth-child({number}) td")]
        for number, path in enumerate(texts(browser, "[data-part=differing] tbody th"), start=1)
    }
    assert rows == {
        "strategy.training_data.symbols.list": ["IBM", "IBM, AAPL", "IBM", "the weights"],
        "strategy.training.epochs": ["2", "3", "2", "the weights"],
        "seed": ["3", "3", "4", "the weights"],
    }
    assert texts(browser, "#why h2") == ["Why B differs from A"]
    browser.open(comparison(service, *three, pair="AC"))
    assert texts(browser, "#why .causes code") == ["seed"]
    assert "differ from epoch 1 of 2 on" in browser.text("#why")


def test_one_cause_can_be_tried_alone(service: RunningService, browser: Browser, three: list[str]) -> None:
    browser.open(comparison(service, *three, pair="AC"))
    browser.click_through("#why .causes button")
    assert browser.run("document.querySelectorAll('.compared article').length") == 4
    assert texts(browser, "#why h2") == ["Why D differs from A"]
    tried = browser.run("document.querySelector('.compared article:last-child a').pathname").removeprefix("/jobs/")
    assert service.wait_for(tried)["seed"] == 4
    assert (service.client.job(tried)["parent"], service.client.job(tried)["relation"]) == (three[0], "counterfactual")
    browser.wait_for("document.getElementById('live-state').textContent === 'all have ended'")
    assert texts(browser, ".compared .badge")[-1] == "completed"


def test_a_comparison_goes_on_while_one_still_trains(
    service: RunningService, browser: Browser, three: list[str]
) -> None:
    running = service.client.submit(endless(), symbols=["IBM"])["id"]
    service.wait_for(running, "running")
    browser.open(comparison(service, three[0], running))
    browser.wait_for("document.querySelector('.compared article:last-child .badge').innerText === 'running'")
    browser.wait_for("/weights.*epoch 1 of/s.test(document.getElementById('why').innerText)")  # as soon as it trains
    service.client.cancel(running)
    browser.wait_for("document.querySelector('.compared article:last-child .badge').innerText === 'cancelled'")
    browser.wait_for("document.getElementById('live-state').textContent === 'all have ended'")


def test_what_cannot_be_compared_is_told_in_words(service: RunningService, three: list[str]) -> None:
    with httpx2.Client(timeout=60.0) as site:
        unknown = site.get(comparison(service, three[0], UNKNOWN))
        assert (unknown.status_code, f"There is no job {UNKNOWN}." in unknown.text) == (422, True)
        assert "There is no job &lt;b&gt;." in site.get(comparison(service, "<b>")).text
        alone = site.get(comparison(service, three[0]))
        assert "One job alone has nothing to be compared with" in alone.text
        assert f'value="{three[0]}" id="choose-{three[0]}" checked' in alone.text
        twice = site.get(comparison(service, three[0], three[0], three[1]))
        assert "2 jobs compared" in twice.text
        many = [service.client.submit(short(1), symbols=["IBM"], target="host")["id"] for _ in range(4)]
        refused = site.get(comparison(service, *three[:2], *many))
        assert (refused.status_code, "6 jobs are too many" in refused.text) == (422, True)


EDITOR = "document.querySelector('.CodeMirror').CodeMirror"
#: The numbers of the lines that are marked as wrong.
MARKED = """[...document.querySelectorAll('.CodeMirror-lint-marker-error')].map((one) =>
    Number(one.closest('.CodeMirror-gutter-wrapper').querySelector('.CodeMirror-linenumber').textContent))"""


def test_faults_are_marked_at_their_lines_as_one_types(service: RunningService, browser: Browser) -> None:
    browser.open(f"{service.url}/new")
    browser.wait_for(
        "document.querySelector('.findings .state').textContent === 'Valid' && !!document.querySelector('.findings dl')"
    )
    assert "Features" in browser.text(".findings")
    line: int = browser.run(f"{EDITOR}.getValue().split('\\n').findIndex((one) => one.includes('type: rsi')) + 1")
    browser.run(f"{EDITOR}.focus(), {EDITOR}.setCursor({{ line: {line - 1}, ch: 13 }}), {EDITOR}.scrollIntoView(null)")
    browser.type("x")  # type: rsix
    browser.wait_for(f"JSON.stringify({MARKED}) === '[{line}]'")
    assert f"line {line}" in browser.text(".findings")
    assert "'rsix' is not an indicator" in browser.text(".findings")
    assert "".join(texts(browser, ".CodeMirror-lint-mark-error")) == "type: rsix"
    browser.press("Backspace", 8)
    browser.wait_for(f"{MARKED}.length === 0 && document.querySelector('.findings .state').textContent === 'Valid'")
    # The other fields are looked at too.
    browser.focus("#labels")
    browser.type("desk")
    browser.wait_for("document.querySelector('.findings').innerText.includes(\"'desk' is no label\")")


def test_keys_and_words_are_completed(service: RunningService, browser: Browser) -> None:
    browser.open(f"{service.url}/new")
    offered = "[...document.querySelectorAll('.CodeMirror-hint')].map((one) => one.firstChild.textContent)"

    def offers(text: str) -> list[str]:
        browser.run(f"{EDITOR}.setValue({json.dumps(text)}), {EDITOR}.focus(), {EDITOR}.execCommand('goDocEnd')")
        browser.run(f"{EDITOR}.execCommand('autocomplete')")
        found: list[str] = browser.wait_for(f"({offered}).length ? {offered} : null")
        browser.press("Escape", 27)
        browser.wait_for(f"({offered}).length === 0")
        return found

    assert offers("name: x\ntraining_") == ["training_data"]
    assert offers("indicators:\n  a:\n    type: macd\n    sig") == ["signal_period", "signal"]
    assert "adamw" in offers("training:\n  epochs: 3\n  optimizer: ada")
    assert "bidirectional" not in offers("model:\n  type: mlp\n  architecture:\n    ")
    assert offers("nn_inputs:\n  - {fuzzy_set: a, time") == ["timeframes"]


def test_the_editor_can_be_left_with_the_keyboard(service: RunningService, browser: Browser) -> None:
    browser.open(f"{service.url}/new")
    browser.run(f"{EDITOR}.focus()")
    browser.press_tab()
    assert browser.run(f"{EDITOR}.hasFocus()")
    browser.press("Escape", 27)
    browser.press_tab()
    assert not browser.run(f"{EDITOR}.hasFocus()")


def test_from_the_form_to_the_page_of_the_job(service: RunningService, browser: Browser) -> None:
    browser.open(f"{service.url}/new")
    browser.run("document.getElementById('from').value = 'starter:mlp'")
    browser.click("button[value=load]")
    browser.wait_for(f"{EDITOR}.getValue().includes('name: my_strategy')")
    browser.run(f"{EDITOR}.setValue({EDITOR}.getValue().replace(/epochs: \\d+/, 'epochs: 1'))")
    browser.click("input[value=IBM]")
    browser.focus("#seed")
    browser.type("11")
    browser.click_through("button.primary")
    browser.wait_for("location.pathname.startsWith('/jobs/') && document.readyState === 'complete'")
    job = service.client.job(browser.run("location.pathname").removeprefix("/jobs/"))
    assert (job["name"], job["symbols"], job["seed"]) == ("my_strategy", ["IBM"], 11)


def test_the_workers_and_why_a_job_waits(service: RunningService, browser: Browser) -> None:
    browser.open(f"{service.url}/workers")
    assert "alive" in browser.text("[data-part=workers]")
    waiting = service.client.submit(short(1), symbols=["IBM"], target="host")["id"]
    browser.wait_for("document.querySelector('[data-part=queue]').innerText.includes('no host worker is alive')")
    assert browser.run(f"!!document.querySelector('[data-part=queue] a[href=\"/jobs/{waiting}\"]')")
    service.client.cancel(waiting)
    browser.wait_for(f"document.querySelector('[data-part=queue] a[href=\"/jobs/{waiting}\"]') === null")
    browser.wait_for("/ago|just now/.test(document.querySelector('[data-since]').textContent)")


def test_signing_and_verifying_from_the_page(service: RunningService, browser: Browser, three: list[str]) -> None:
    browser.open(f"{service.url}/audit")
    browser.wait_for("document.querySelectorAll('.events tbody tr').length === 30")
    browser.click_through("form[action='/audit/sign'] button")
    assert "are signed" in browser.text("#signed")
    browser.click_through("form[action='/audit/verify'] button")
    browser.wait_for("document.querySelector('.verification .note.good') !== null")
    assert "nothing is missing or changed" in browser.text(".verification")


def test_what_is_not_sound_is_told_with_every_finding(own_service: RunningService) -> None:
    own_service.import_samples()
    own_service.start("serve")
    removed = next(file for file in (own_service.home / "prices").rglob("*") if file.is_file())
    removed.unlink()
    with httpx2.Client(base_url=own_service.url, timeout=60.0) as site:
        assert "Not verified since the service started" in site.get("/audit").text
        assert site.post("/audit/verify").status_code == 303
        page = wait_until(lambda: text if "not sound" in (text := site.get("/audit/verification").text) else None)
    assert "one finding" in page or "1 finding" in page
    assert removed.name.partition(".")[0] in page


#: What reaches beyond the right edge of the window and is not within something that scrolls by itself.
TOO_WIDE = """[...document.querySelectorAll('body *')]
    .filter((one) => one.getBoundingClientRect().right > 361 && !one.closest('nav, .table-frame, .CodeMirror, pre'))
    .map((one) => `${one.tagName}.${one.className} in ${one.parentElement.className}`)
    .concat(document.documentElement.scrollWidth > 361 ? [`the page: ${document.documentElement.scrollWidth}`] : [])"""
PAGES = ("/compare", "/new", "/workers", "/audit", "compared")


@pytest.mark.parametrize("page", PAGES)
def test_a_phone_shows_it_without_scrolling_sideways(
    service: RunningService, browser: Browser, three: list[str], page: str
) -> None:
    address = comparison(service, *three) if page == "compared" else f"{service.url}{page}"
    for theme in ("light", "dark"):
        browser.show_as(width=360, height=740, theme=theme)
        browser.open(address)
        browser.wait_for(f"({TOO_WIDE}).length === 0")
        assert browser.complaints == []


def test_nothing_of_the_pages_needs_more_than_the_policy_allows(service: RunningService) -> None:
    policy = httpx2.get(f"{service.url}/new").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
