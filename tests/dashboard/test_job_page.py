"""The page of a job in a real browser: live, at any moment of the past, by keyboard, and without a script."""

from __future__ import annotations

import json
from typing import Any

import httpx2
from browser import Browser
from dashboard_steps import cancel, ended, events_of, job_of, submit
from running_service import RunningService
from strategies import endless, short

LIVE = "document.getElementById('live-state').textContent === 'live'"
STATUS = "document.getElementById('job-state')?.dataset.status"
EPOCHS = "JSON.parse(document.getElementById('curves-data').dataset.curves).epoch"


def open_job(browser: Browser, service: RunningService, job_id: str, query: str = "") -> None:
    browser.open(f"{service.url}/jobs/{job_id}{query}")


def post(service: RunningService, path: str, **fields: str) -> httpx2.Response:
    return httpx2.post(service.url + path, data=fields)


def test_the_page_moves_while_the_training_does(service: RunningService, browser: Browser) -> None:
    job = submit(service, endless(), checkpoint_every_epochs=1)
    open_job(browser, service, job["id"])
    browser.run("window.isSamePage = true")
    browser.wait_for(LIVE)
    browser.wait_for(f"{EPOCHS}.length > 1 && document.querySelectorAll('#curves canvas').length === 4")
    seen = browser.run(f"{EPOCHS}.length")
    browser.wait_for(f"{EPOCHS}.length > {seen}")
    browser.wait_for("/Running on .+, epoch [0-9]+ of 100000, .+ so far, at most .+ left/.test(headline.textContent)")
    assert browser.run("document.getElementById('progress').value") > 0
    assert browser.run(f"{EPOCHS}.every((epoch, place) => epoch === place + 1)")
    cancel(service, job["id"], reason="seen enough")
    browser.wait_for(f"{STATUS} === 'cancelled' && document.getElementById('live-state').textContent === 'ended'")
    assert "seen enough" in browser.text("#job-state")
    assert browser.run("window.isSamePage")


def test_the_page_catches_up_after_the_api_was_away(own_service: RunningService, browser: Browser) -> None:
    own_service.start("serve", "worker")
    own_service.import_samples()
    job_id = submit(own_service, endless())["id"]
    open_job(browser, own_service, job_id)
    browser.run(
        f"""(async () => {{
            window.seen = [];
            const script = document.querySelector('script[src*="/job.js"]').src;
            const {{ follow }} = await import(script.replace("job.js", "live.js"));
            follow("/api/v1/jobs/{job_id}/events", 0, ({{ version }}) => window.seen.push(version), {{ show() {{}} }});
        }})()"""
    )
    browser.wait_for(f"{EPOCHS}.length > 1 && window.seen.length > 20")
    own_service.stop("serve")
    browser.wait_for("document.getElementById('live-state').dataset.state === 'reconnecting'")
    own_service.start("serve")
    cancel(own_service, job_id)
    last = ended(own_service, job_id, "cancelled")["version"]
    browser.wait_for(f"{STATUS} === 'cancelled'")
    browser.wait_for(f"window.seen.at(-1) === {last}")
    assert browser.run("window.seen.every((version, place) => version === place + 1)")
    assert browser.run(f"{EPOCHS}.every((epoch, place) => epoch === place + 1)")
    # What the console says of the lost connection is no fault of the page.
    browser.complaints[:] = [one for one in browser.complaints if "ERR_" not in one]


def test_the_slider_shows_any_moment_again_and_leads_back(
    service: RunningService, trained: dict[str, Any], browser: Browser
) -> None:
    open_job(browser, service, trained["id"])
    browser.wait_for("document.querySelector('#report #worth-title') !== null")
    browser.focus("#moment")
    browser.press("Home", 36)
    browser.wait_for(f"{STATUS} === 'queued' && location.search.includes('as_of=')")
    assert "showing the past" in browser.text("#live-state")
    assert browser.run("document.getElementById('curves').hidden && !document.querySelector('#report #worth-title')")
    assert browser.run("document.activeElement.id") == "moment"
    browser.press("ArrowRight", 39, times=3)
    browser.wait_for("document.getElementById('job-state').dataset.version === '4'")
    position = int(browser.run("new URLSearchParams(location.search).get('as_of')"))
    then = job_of(service, trained["id"], as_of=position)
    assert (then["version"], then["status"]) == (4, browser.run(STATUS))
    assert "Event 4 of" in browser.text('[data-part="moment-text"]')
    assert browser.run("[...document.querySelectorAll('.actions button')].every((button) => button.disabled)")
    # The address is that moment, for others too.
    open_job(browser, service, trained["id"], f"?as_of={position}")
    assert browser.run("document.getElementById('moment').value") == "4"
    browser.click("#back-to-live")
    browser.wait_for(f"{STATUS} === 'completed' && !location.search.includes('as_of')")
    browser.wait_for("document.querySelector('#report #worth-title') !== null")
    assert browser.run(f"{EPOCHS}.length") == 3


def test_playing_ends_in_the_present(service: RunningService, trained: dict[str, Any], browser: Browser) -> None:
    open_job(browser, service, trained["id"])
    browser.click("#play")
    browser.wait_for("location.search.includes('as_of=')")
    browser.wait_for(f"{STATUS} === 'completed' && !location.search && play.textContent === 'Play'")


def test_cancel_retry_and_fork_by_keyboard(service: RunningService, trained: dict[str, Any], browser: Browser) -> None:
    waiting = submit(service, short(), require_gpu=True)
    open_job(browser, service, waiting["id"])
    assert "Waiting for a worker" in browser.text("#headline")
    browser.focus("#cancel > summary")
    browser.press_enter()
    browser.press_tab()
    browser.type("not today")
    browser.press_tab()
    browser.press_enter()
    browser.wait_for(f"{STATUS} === 'cancelled'")
    assert "not today" in browser.text("#job-state")

    browser.focus("#retry > summary")
    browser.press_enter()
    browser.press_tab()
    browser.press_enter()
    browser.wait_for(f"!location.href.includes('{waiting['id']}') && {STATUS} === 'queued'")
    again = job_of(service, browser.run("document.getElementById('job-state').dataset.job"))
    assert (again["parent"], again["relation"]) == (waiting["id"], "retry")

    open_job(browser, service, trained["id"])
    browser.focus("#fork > summary")
    browser.press_enter()
    browser.focus("#fork-changes")
    browser.type("training.epochs=4")
    browser.press_tab()
    browser.press_enter()
    browser.wait_for(f"!location.href.includes('{trained['id']}') && {STATUS} === 'completed'")
    fork = job_of(service, browser.run("document.getElementById('job-state').dataset.job"))
    assert (fork["parent"], fork["relation"], fork["result"]["epochs_trained"]) == (trained["id"], "fork", 4)
    open_job(browser, service, trained["id"])
    assert fork["id"][:8] in browser.text('[data-part="inputs"]')


def test_forms_and_pages_do_without_a_script(service: RunningService, browser: Browser) -> None:
    job = submit(service, short(), require_gpu=True)
    browser.switch_scripts(on=False)
    try:
        open_job(browser, service, job["id"])
        assert "not live" in browser.text("header")
        browser.click("#cancel > summary")
        browser.click("#cancel-now")
        browser.wait_for(f"{STATUS} === 'cancelled'")
    finally:
        browser.switch_scripts(on=True)


def test_what_is_refused_is_said_on_the_page_of_the_job(service: RunningService, trained: dict[str, Any]) -> None:
    path = f"/jobs/{trained['id']}"
    over = post(service, f"{path}/cancel")
    assert over.status_code == 409
    assert trained["name"] in over.text
    assert 'role="alert"' in over.text
    no_change = post(service, f"{path}/fork", epoch="2", changes="training.epochs 9")
    assert no_change.status_code == 422
    assert "is not key=value" in no_change.text
    other_network = post(service, f"{path}/fork", epoch="2", changes="model.architecture.hidden_layers=[4]")
    assert "cannot change" in other_network.text
    assert "no checkpoint of epoch 77" in post(service, f"{path}/fork", epoch="77").text
    unknown = httpx2.get(f"{service.url}/jobs/0192aaaa-0000-7000-8000-000000000000")
    assert (unknown.status_code, "text/html" in unknown.headers["content-type"]) == (404, True)
    assert httpx2.get(f"{service.url}{path}?as_of=999999999").status_code == 422


def test_everything_about_a_finished_job_is_on_its_page(service: RunningService, trained: dict[str, Any]) -> None:
    page = httpx2.get(f"{service.url}/jobs/{trained['id']}").text
    for text in (
        "Completed after", "client:", "attempt 1 of", "fuzzy_sets:", trained["result"]["model_digest"], "AAPL",
        "mkl", "every epoch", "The same as a table", f"as_of={trained['position']}", "download",
    ):  # fmt: skip
        assert text in page, text
    assert "style=" not in page
    report = httpx2.get(f"{service.url}/jobs/{trained['id']}/report").text
    for text in ("No skill", "Buy and hold", "What was taken for what", "Memberships of", "Importance of the inputs"):
        assert text in report, text
    assert "style=" not in report


def test_events_are_paged_and_filtered(service: RunningService, trained: dict[str, Any]) -> None:
    path = f"{service.url}/jobs/{trained['id']}"
    saved = httpx2.get(path, params={"type": "CheckpointSaved"}).text
    assert saved.count("a checkpoint of epoch") == 3
    assert "was submitted" not in saved.partition('data-part="events"')[2]
    events = events_of(service, trained["id"])
    first = httpx2.get(path, params={"before": "2"}).text
    assert f'id="event-{events[0]["position"]}"' in first
    assert f'id="event-{events[1]["position"]}"' not in first
    moments = httpx2.get(f"{path}/moments").json()
    assert moments["positions"] == [event["position"] for event in events]
    assert json.dumps(events[0]["data"]["seed"]) in first
