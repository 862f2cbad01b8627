"""The pages of the schedules in a real browser, and as plain forms for one without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from browser import Browser
from running_service import RunningService

JOB = {"strategy": "trend_follower", "symbols": ["AAPL"]}


@pytest.fixture
def schedules(service: RunningService) -> Iterator[RunningService]:
    """The shared service, without what a test has scheduled and submitted once it is over."""
    yield service
    for one in service.client.schedules():
        for job in service.client.jobs(label=[f"schedule={one['name']}"]):
            if job["status"] in ("queued", "running"):
                service.client.cancel(job["id"])
        service.client.delete_schedule(one["name"])


def fill(browser: Browser, **fields: str) -> None:
    for name, value in fields.items():
        browser.run(
            f"""(() => {{
                const field = document.getElementById({json.dumps(name)});
                field.value = {json.dumps(value)};
                field.dispatchEvent(new Event("input", {{ bubbles: true }}));
            }})()"""
        )


def test_a_schedule_is_made_while_one_sees_when_it_is_due(schedules: RunningService, browser: Browser) -> None:
    browser.open(f"{schedules.url}/schedules")
    assert "Nothing is scheduled." in browser.text("[data-part=schedules]")
    browser.wait_for("document.querySelectorAll('#preview-moments li').length === 5")
    fill(browser, cron="0 6 31 12 *", timezone="Europe/Berlin")
    browser.wait_for("/-12-31 06:00:00\\+01:00$/.test(document.querySelector('#preview-moments li').textContent)")
    fill(browser, cron="0 26 * * *")
    browser.wait_for("document.getElementById('preview-fault').textContent.includes('no number from 0 to 23')")
    assert browser.run("document.querySelectorAll('#preview-moments li').length") == 0
    fill(browser, cron="0 6 31 12 *", name="yearly", symbols="AAPL, IBM", window="3650d")
    browser.click_through("#new-schedule button.primary")
    browser.wait_for("location.pathname === '/schedules/yearly' && document.readyState === 'complete'")
    assert "0 6 31 12 * in Europe/Berlin" in browser.text(".page-head")
    assert "It was not due yet." in browser.text("[data-part=firings]")
    definition = schedules.client.schedule("yearly")["definition"]
    assert (definition["window"], definition["window_ends"]) == ("3650d", "last_bar")
    assert definition["job"]["symbols"] == ["AAPL", "IBM"]


def test_it_is_paused_fired_and_deleted_from_its_page(schedules: RunningService, browser: Browser) -> None:
    schedules.client.create_schedule("manual", JOB, cron="@yearly", overlap="queue")
    browser.open(f"{schedules.url}/schedules/manual")
    browser.focus("#reason")
    browser.type("holidays")
    browser.click_through("#pause")
    browser.wait_for("document.getElementById('resume') !== null && document.readyState === 'complete'")
    assert "holidays" in browser.text("[data-part=next]")
    # What others do is seen without loading the page again.
    browser.wait_for("document.getElementById('live-state').textContent === 'live'")
    schedules.client.resume_schedule("manual")
    browser.wait_for("document.getElementById('pause') !== null")
    browser.click_through("#fire")
    browser.wait_for("location.pathname.startsWith('/jobs/') && document.readyState === 'complete'")
    (job,) = schedules.client.jobs(label=["schedule=manual"])
    assert browser.run("location.pathname") == f"/jobs/{job['id']}"
    schedules.client.cancel(job["id"])
    browser.open(f"{schedules.url}/schedules/manual")
    assert "fired on request" in browser.text("[data-part=firings]")
    browser.click("#deleting summary")
    browser.click_through("#delete")
    browser.wait_for("location.pathname === '/schedules' && document.readyState === 'complete'")
    assert schedules.client.schedules() == []


def test_everything_can_be_done_with_plain_forms(schedules: RunningService) -> None:
    typed: dict[str, Any] = {"name": "plain", "strategy": "trend_follower", "cron": "0 0 * * sun", "timezone": "UTC"}
    with httpx2.Client(base_url=schedules.url, timeout=60.0) as site:
        checked = site.post("/schedules", data={**typed, "action": "check"})
        assert checked.text.count("T00:00:00+00:00</li>") == 5
        wrong = site.post("/schedules", data={**typed, "name": "Not one", "cron": "0 0 * *"})
        assert wrong.status_code == 422
        assert "has 4 fields" in wrong.text
        assert 'value="Not one"' in wrong.text
        assert "is no name" in wrong.text
        made = site.post("/schedules", data=typed)
        assert (made.status_code, made.headers["Location"]) == (303, "/schedules/plain")
        again = site.post("/schedules", data=typed)
        assert (again.status_code, "there is a schedule plain already" in again.text) == (409, True)
        fired = site.post("/schedules/plain/fire")
        assert fired.headers["Location"].startswith("/jobs/")
        busy = site.post("/schedules/plain/fire")
        job_id = fired.headers["Location"].removeprefix("/jobs/")
        if schedules.client.job(job_id)["status"] == "queued":
            assert (busy.status_code, "its jobs do not overlap" in busy.text) == (409, True)
        assert "plain" in site.get("/schedules").text
        assert site.post("/schedules/plain/pause", data={"reason": "<b>"}).status_code == 303
        assert "&lt;b&gt;" in site.get("/schedules/plain").text
        assert site.get("/schedules/nobody").status_code == 404
        assert site.post("/schedules/nobody/delete").status_code == 404
