"""The list of jobs in a real browser: kept fresh, filtered by its address, and of use without a script."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from browser import Browser
from dashboard_steps import cancel, submit
from running_service import RunningService
from strategies import endless, short

from ktrdr.api.dashboard.jobs_page import polyline


def row_of(job_id: str) -> str:
    return f"document.getElementById('job-{job_id}')?.closest('tr')"


def page_of(service: RunningService, path: str) -> httpx2.Response:
    return httpx2.get(service.url + path, headers={"Accept": "text/html"})


def test_a_row_appears_and_goes_on_while_what_was_chosen_and_focused_stays(
    service: RunningService, trained: dict[str, Any], browser: Browser
) -> None:
    browser.open(f"{service.url}/?label=desk%3Ddashboard")
    browser.wait_for("document.getElementById('live-state').textContent === 'live'")
    browser.run("window.isSamePage = true")
    browser.click(f"#choose-{trained['id']}")
    browser.focus(f"#job-{trained['id']}")
    job = submit(service, short(2), labels={"desk": "dashboard"})
    browser.wait_for(f"{row_of(job['id'])}?.querySelector('.badge.completed') !== null && {row_of(job['id'])} != null")
    assert browser.run("window.isSamePage")
    assert browser.run(f"document.getElementById('choose-{trained['id']}').checked")
    browser.wait_for(f"document.activeElement.id === 'job-{trained['id']}'")
    assert "Validation loss by epoch" in browser.run(f"{row_of(job['id'])}.innerHTML")
    assert browser.run("document.getElementById('compare-button').disabled")
    browser.click(f"#choose-{job['id']}")
    assert browser.text("#compare-button") == "Compare 2 jobs"
    assert not browser.run("document.getElementById('compare-button').disabled")


def test_a_running_job_shows_how_far_it_is(service: RunningService, browser: Browser) -> None:
    job = submit(service, endless(), labels={"shown": "running"})
    browser.open(f"{service.url}/?label=shown%3Drunning")
    browser.wait_for(f"{row_of(job['id'])}?.querySelector('.badge.running progress, progress') !== null")
    browser.wait_for(f"/epoch [0-9]+ of 100000/.test({row_of(job['id'])}.textContent)")
    cancel(service, job["id"])
    browser.wait_for(f"{row_of(job['id'])}.querySelector('.badge.cancelled') !== null")


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_needs_no_scrolling_sideways(
    service: RunningService, trained: dict[str, Any], browser: Browser, width: int
) -> None:
    browser.show_as(width=width, height=740, theme="dark")
    for path in ("/", f"/jobs/{trained['id']}", f"/jobs/{trained['id']}/report"):
        browser.open(service.url + path)
        assert browser.run("document.documentElement.scrollWidth") <= width


def test_the_address_is_the_filter(service: RunningService, trained: dict[str, Any]) -> None:
    mine, link = trained["id"], f'href="/jobs/{trained["id"]}"'
    for wanted in ("label=desk=dashboard", "q=desk=dashboard", "status=completed&label=desk=dashboard", "symbol=AAPL"):
        assert link in page_of(service, f"/?{wanted}").text
    for unwanted in ("status=failed", "q=desk=nobody", "strategy=another", "submitted_until=2001-01-01", "symbol=XXXX"):
        assert link not in page_of(service, f"/?{unwanted}").text
    found = page_of(service, f"/?q={mine}")
    assert (found.status_code, found.headers["location"]) == (303, f"/jobs/{mine}")


def test_filters_that_mean_nothing_are_explained_on_the_page(service: RunningService) -> None:
    page = page_of(service, "/?submitted_from=yesterday-ish&status=sleeping")
    assert page.status_code == 422
    assert "text/html" in page.headers["content-type"]
    assert "sleeping" in page.text
    assert "not a moment" in page_of(service, "/?submitted_from=yesterday-ish").text


def test_pages_of_the_list_follow_each_other(service: RunningService) -> None:
    jobs = [submit(service, short(1), require_gpu=True, labels={"page": "many"}) for _ in range(51)]
    first = page_of(service, "/?label=page=many").text
    assert f'href="/jobs/{jobs[-1]["id"]}"' in first
    assert f'href="/jobs/{jobs[0]["id"]}"' not in first
    older = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert f'href="/jobs/{jobs[0]["id"]}"' in page_of(service, older).text


def test_styles_and_scripts_are_kept_for_good_under_an_address_of_their_content(service: RunningService) -> None:
    address = page_of(service, "/").text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    first = page_of(service, address)
    assert "immutable" in first.headers["cache-control"]
    assert first.headers["content-type"].startswith("text/css")
    again = httpx2.get(service.url + address, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    of_before = page_of(service, "/static/0123456789ab/style.css")
    assert (of_before.text, of_before.headers["cache-control"]) == (first.text, "no-cache")
    assert page_of(service, "/static/0123456789ab/../../app.py").status_code == 404


def test_someone_new_sees_a_strategy_learn_after_one_click(own_service: RunningService, browser: Browser) -> None:
    own_service.start("serve", "worker")
    browser.open(own_service.url)
    assert "Nothing was trained yet" in browser.text("main")
    browser.click_through("#begin")
    browser.wait_for("document.getElementById('job-state')?.dataset.status === 'completed'")
    browser.wait_for("document.querySelectorAll('#chart-loss canvas').length === 1")
    browser.wait_for("document.querySelector('#report #worth-title') !== null")
    assert "Completed after" in browser.text("#headline")
    assert browser.text("#live-state") == "ended"
    browser.open(own_service.url)
    assert "trend_follower" in browser.text("table.jobs")
    assert len(own_service.http.get("/datasets").json()["datasets"]) == 5


def test_a_sparkline_falls_where_the_loss_does() -> None:
    assert polyline([3.0, 1.0, 2.0]) == "0.0,1.0 50.0,23.0 100.0,12.0"
    assert polyline([1.0, 1.0]) == "0.0,1.0 100.0,1.0"
    assert polyline([1.0]) == ""
