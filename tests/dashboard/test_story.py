"""From nothing to a comparison, as a person goes who has never been here: in one browser, by its links and buttons."""

from __future__ import annotations

from browser import Browser
from running_service import RunningService

ENDED = "document.getElementById('job-state')?.dataset.status === 'completed'"


def test_from_an_empty_installation_to_a_comparison(own_service: RunningService, browser: Browser) -> None:
    own_service.start("serve", "worker")
    browser.open(own_service.url)
    browser.click_through("#begin")
    browser.wait_for("document.querySelectorAll('#chart-loss canvas').length === 1")
    browser.wait_for(ENDED)
    first = browser.run("document.getElementById('job-state').dataset.job")

    browser.click_through("header nav a[href='/new']")
    browser.run("document.getElementById('from').value = 'trend_follower'")
    browser.click("button[value=load]")
    browser.wait_for("document.querySelector('.CodeMirror').CodeMirror.getValue().includes('trend_follower')")
    browser.focus("#seed")
    browser.type("5")
    browser.click_through("button.primary")
    second = browser.run("document.getElementById('job-state').dataset.job")
    assert second != first
    browser.wait_for(ENDED)

    browser.click_through("header nav a[href='/']")
    for job in (first, second):
        browser.click(f"#choose-{job}")
    browser.click_through("#compare-button")
    browser.wait_for("document.querySelectorAll('.chart canvas').length === 4")
    assert browser.run("document.querySelectorAll('.compared article').length") == 2
    differing = browser.text("[data-part=differing]")
    assert "seed" in differing
    assert "strategy.training.epochs" not in differing
