"""Schedules over HTTP: made, looked at, changed, paused, fired and deleted; everything that is wrong told at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from running_service import RunningService, wait_until
from strategies import short

from ktrdr.client import ApiError

JOB = {"strategy": "trend_follower", "symbols": ["AAPL"]}


def make(service: RunningService, name: str, **changes: Any) -> dict[str, Any]:
    body = {"name": name, "cron": "0 4 1 1 *", "job": JOB} | changes
    answer = service.http.post("/schedules", json={key: value for key, value in body.items() if value is not None})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/api/v1/schedules/{name}"
    assert answer.headers["ETag"].startswith(f'"v{made["version"]}-')
    return made


def faults(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {fault["path"]: f"{fault['detail']} ({fault['fix']})" for fault in answer.json()["errors"]}


def fates(service: RunningService, name: str) -> list[tuple[str, str]]:
    return [(one["outcome"], one["reason"] or "") for one in service.client.firings(name)]


def test_a_schedule_is_shown_as_it_was_made_with_every_default(scheduled: RunningService) -> None:
    made = make(scheduled, "yearly", timezone="Europe/Berlin")
    definition = made["definition"]
    assert {key: definition[key] for key in ("cron", "every", "timezone", "misfire", "grace_seconds", "overlap")} == {
        "cron": "0 4 1 1 *", "every": None, "timezone": "Europe/Berlin", "misfire": "once", "grace_seconds": 300,
        "overlap": "skip",
    }  # fmt: skip
    assert definition["job"]["strategy"] == "trend_follower"
    assert definition["job"]["max_attempts"] == 3
    assert [moment[4:] for moment in made["next"]] == ["-01-01T03:00:00.000000Z"] * 5
    assert (made["version"], made["fired"], made["paused"], made["last_firing"], made["warnings"]) == (
        1,
        0,
        None,
        None,
        [],
    )
    assert scheduled.client.schedule("yearly") == {key: made[key] for key in made if key != "warnings"}
    assert "yearly" in [one["name"] for one in scheduled.client.schedules()]


def test_everything_that_is_wrong_is_told_at_once(scheduled: RunningService) -> None:
    body = {
        "name": "Not A Name", "cron": "61 * * * *", "timezone": "Mars/Phobos", "end_lag": "soon", "misfire": "all",
        "seed": "firing", "job": {"strategy": "trend_folower", "symbols": ["NONE"], "seed": 3},
    }  # fmt: skip
    told = faults(scheduled.http.post("/schedules", json=body))
    assert set(told) == {"name", "cron", "timezone", "end_lag", "misfire", "job.seed", "job.strategy"}
    assert "'61' is no number from 0 to 59" in told["cron"]
    assert "write one as in Europe/Berlin" in told["timezone"]
    assert "the nearest is 'trend_follower'" in told["job.strategy"]
    # With a body that is wrong in its form, what its meaning lacks is told too.
    told = faults(scheduled.http.post("/schedules", json={**body, "name": "x", "overlap": "never"}))
    assert {"overlap", "cron", "job.strategy"} <= set(told)


@pytest.mark.parametrize(
    ("changes", "where", "problem"),
    [
        ({"cron": None}, "cron", "cron and every are both missing"),
        ({"every": "6h"}, "cron", "cron and every are given both"),
        ({"cron": None, "every": "6 hours"}, "every", "write a whole number and a unit: 90s"),
        ({"start": "2024-05-02", "end": "2024-05-01"}, "end", "2024-05-01 is before the start"),
        ({"start": "yesterday"}, "start", "is not a moment"),
        ({"window_ends": "last_bar"}, "window_ends", "there is no window"),
        ({"window": "30d", "job": {**JOB, "start": "2010-01-01"}}, "job.start", "the window says which data"),
        ({"job": {**JOB, "symbols": ["NONE"]}}, "job.symbols[0]", "there are no 1d prices of 'NONE'"),
        ({"job": {**JOB, "require_gpu": True, "prefer_gpu": True}}, "job.prefer_gpu", "cannot do without one"),
        ({"name": "preview"}, "name", "cannot be the name"),
        ({"cron": "0 0 31 2 *"}, "cron", "names a day that no year has"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(
    scheduled: RunningService, changes: dict[str, Any], where: str, problem: str
) -> None:
    body = {"name": "wrong", "cron": "0 4 1 1 *", "job": JOB} | changes
    answer = scheduled.http.post("/schedules", json={key: value for key, value in body.items() if value is not None})
    told = faults(answer)
    assert set(told) == {where}
    assert problem in told[where]
    assert scheduled.http.get("/schedules/wrong").status_code == 404


def test_what_will_not_be_as_expected_is_a_warning(scheduled: RunningService) -> None:
    over = make(scheduled, "over", end="2020-01-01")
    assert over["next"] == []
    assert "it never fires" in over["warnings"][0]
    (warning,) = make(scheduled, "empty-window", window="30d")["warnings"]
    assert "with the data of today its first firing would be skipped: window:" in warning
    assert make(scheduled, "last-bars", window="3650d", window_ends="last_bar")["warnings"] == []


def test_a_name_is_given_once(scheduled: RunningService) -> None:
    make(scheduled, "once")
    answer = scheduled.http.post("/schedules", json={"name": "once", "cron": "@daily", "job": JOB})
    assert (answer.status_code, answer.json()["detail"]) == (409, "there is a schedule once already")
    scheduled.client.delete_schedule("once")
    assert scheduled.http.get("/schedules/once").status_code == 404
    assert make(scheduled, "once", cron="@daily")["version"] == 3


def test_it_is_changed_only_as_the_one_that_was_seen(scheduled: RunningService) -> None:
    seen = make(scheduled, "changing", cron=None, every="6h", start="2024-01-01T00:00:00Z")
    etag = scheduled.http.get("/schedules/changing").headers["ETag"]
    body = {"every": "8h", "overlap": "queue", "job": JOB}
    changed = scheduled.http.put("/schedules/changing", json=body, headers={"If-Match": etag})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    # Counted from where it was counted before.
    assert changed.json()["definition"]["start"] == seen["definition"]["start"]
    assert {moment[11:16] for moment in changed.json()["next"]} == {"00:00", "08:00", "16:00"}
    late = scheduled.http.put("/schedules/changing", json={**body, "every": "9h"}, headers={"If-Match": etag})
    assert late.status_code == 412
    assert "schedule changing is at version 2, and If-Match names 1" in late.json()["detail"]
    assert scheduled.client.change_schedule("changing", JOB, version=2, every="8h", overlap="queue")["version"] == 2
    assert scheduled.http.delete("/schedules/changing", headers={"If-Match": etag}).status_code == 412
    scheduled.client.delete_schedule("changing", version=2)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/fire"),
        ("GET", "/firings"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["nobody", "No%20Name", "a:b"])
def test_one_that_is_not_there_is_not_found(scheduled: RunningService, method: str, path: str, name: str) -> None:
    body = {"cron": "@daily", "job": JOB} if method == "PUT" else None
    answer = scheduled.http.request(method, f"/schedules/{name}{path}", json=body)
    assert answer.status_code == 404
    assert "there is no schedule" in answer.json()["detail"]


def test_an_unseen_answer_is_not_sent_again(scheduled: RunningService) -> None:
    make(scheduled, "quiet")
    etag = scheduled.http.get("/schedules/quiet").headers["ETag"]
    assert scheduled.http.get("/schedules/quiet", headers={"If-None-Match": etag}).status_code == 304
    scheduled.client.pause_schedule("quiet", reason="holidays")
    answer = scheduled.http.get("/schedules/quiet", headers={"If-None-Match": etag})
    assert answer.status_code == 200
    assert answer.json()["paused"]["reason"] == "holidays"


def test_fired_on_request_it_submits_one_job_for_each_key(scheduled: RunningService) -> None:
    make(scheduled, "asked", overlap="queue", seed="firing")
    scheduled.client.pause_schedule("asked")  # a pause is for the clock, not for people
    first = scheduled.client.fire_schedule("asked", idempotency_key="a")
    again = scheduled.client.fire_schedule("asked", idempotency_key="a")
    other = scheduled.client.fire_schedule("asked", idempotency_key="b")
    assert first["id"] == again["id"] != other["id"]
    assert first["labels"] == {"schedule": "asked"}
    assert first["seed"] != other["seed"]
    assert fates(scheduled, "asked") == [("now", "")] * 2
    view = scheduled.client.schedule("asked")
    assert (view["fired"], view["last_firing"]) == (
        2,
        {"due_at": view["last_firing"]["due_at"], "how": "now", "job_id": other["id"], "job_status": "queued"},
    )
    assert [job["id"] for job in scheduled.client.jobs(label=["schedule=asked"])] == [other["id"], first["id"]]
    events = list(scheduled.client.events(first["id"]))
    assert [event["type"] for event in events] == ["JobSubmitted"]


def test_jobs_that_shall_not_overlap_do_not_on_request_either(scheduled: RunningService) -> None:
    make(scheduled, "alone")
    first = scheduled.client.fire_schedule("alone")
    with pytest.raises(ApiError, match=f"job {first['id']} of schedule alone is queued") as told:
        scheduled.client.fire_schedule("alone")
    assert told.value.status == 409
    scheduled.client.cancel(first["id"])
    assert scheduled.client.fire_schedule("alone")["id"] != first["id"]


def test_a_new_schedule_fires_without_delay_and_a_changed_or_paused_one_no_more(scheduled: RunningService) -> None:
    make(scheduled, "eager", cron=None, every="1s", overlap="queue", seed="firing")
    wait_until(lambda: len(fates(scheduled, "eager")) >= 3)
    scheduled.client.pause_schedule("eager")
    before = list(scheduled.client.firings("eager"))
    scheduled.client.resume_schedule("eager")
    wait_until(lambda: len(fates(scheduled, "eager")) > len(before) + 1)
    scheduled.client.change_schedule("eager", JOB, cron="0 4 1 1 *")
    found = list(scheduled.client.firings("eager"))
    ids = [one["job_id"] for one in found if one["outcome"] != "skipped"]
    assert len(ids) == len(set(ids)) >= 4
    seeds = {job["seed"] for job in scheduled.client.jobs(label=["schedule=eager"])}
    assert len(seeds) == len(ids)
    # Every second has one fate, those of the pause and of the change too.
    moments = sorted(one["due_at"] for one in found)
    assert len(moments) == len(set(moments))
    assert {reason for outcome, reason in fates(scheduled, "eager") if outcome == "skipped"} <= {"paused", "changed"}
    assert [one["actor"] for one in found if one["outcome"] == "due"].count("scheduler") == len(ids)
    pages = scheduled.http.get("/schedules/eager/firings", params={"limit": 2}).json()
    following = scheduled.http.get("/schedules/eager/firings", params={"limit": 2, "cursor": pages["next_cursor"]})
    assert [*pages["firings"], *following.json()["firings"]] == found[:4]


def test_a_window_slides_with_the_last_bar(scheduled: RunningService) -> None:
    last = next(one["last"] for one in scheduled.client.datasets() if one["symbol"] == "AAPL")
    make(scheduled, "sliding", window="1000d", window_ends="last_bar", end_lag="7d")
    job = scheduled.client.job(scheduled.client.fire_schedule("sliding")["id"])
    start, end = (datetime.fromisoformat(job["submission"][name]) for name in ("start", "end"))
    assert end - start == timedelta(days=1000)
    assert end.date() == (datetime.fromisoformat(last) - timedelta(days=7)).date()


def test_a_firing_that_cannot_be_submitted_is_told_and_the_schedule_goes_on(scheduled: RunningService) -> None:
    make(scheduled, "no-data", cron=None, every="1s", window="30d", overlap="queue", misfire="all")
    wait_until(lambda: len(fates(scheduled, "no-data")) >= 2)
    scheduled.client.pause_schedule("no-data")
    found = [one for one in scheduled.client.firings("no-data") if one["reason"] != "paused"]
    assert {(one["outcome"], one["reason"], one["job_id"]) for one in found} == {("skipped", "refused", None)}
    assert "window: from" in found[0]["detail"]
    view = scheduled.client.schedule("no-data")
    assert (view["fired"], view["last_skip"]["reason"]) == (0, "refused")
    with pytest.raises(ApiError, match="there are no 1d prices of AAPL"):
        scheduled.client.fire_schedule("no-data")


def test_a_moment_passes_while_the_job_before_is_not_over(scheduled: RunningService) -> None:
    make(scheduled, "slow", cron=None, every="1s", job={**JOB, "strategy": short()})
    wait_until(lambda: ("skipped", "overlap") in fates(scheduled, "slow"))
    scheduled.client.pause_schedule("slow")
    *skipped, first = list(scheduled.client.firings("slow"))
    assert first["outcome"] == "due"
    overlaps = [one for one in skipped if one["reason"] == "overlap"]
    assert {one["job_id"] for one in overlaps} == {first["job_id"]}
    assert overlaps[0]["detail"] == f"job {first['job_id']} of the firing before is queued"


@pytest.mark.parametrize(
    ("query", "local"),
    [
        ({"cron": "30 2 * * *", "timezone": "Europe/Berlin", "start": "2050-03-26", "count": 3},
         ["2050-03-26T02:30:00+01:00", "2050-03-27T03:30:00+02:00", "2050-03-28T02:30:00+02:00"]),
        ({"cron": "0 0 * * 0", "start": "2050-01-01", "count": 1}, ["2050-01-02T00:00:00+00:00"]),
        ({"every": "1w", "start": "2050-01-03T09:30:00Z", "end": "2050-01-09"}, ["2050-01-03T09:30:00+00:00"]),
    ],
)  # fmt: skip
def test_a_timing_is_tried_before_it_is_used(
    scheduled: RunningService, query: dict[str, Any], local: list[str]
) -> None:
    assert scheduled.http.get("/schedules/preview", params=query).json()["local"] == local


def test_what_is_wrong_with_a_timing_is_told_while_it_is_typed(scheduled: RunningService) -> None:
    told = faults(scheduled.http.get("/schedules/preview", params={"cron": "30 2 * *", "timezone": "CEST2"}))
    assert set(told) == {"cron", "timezone"}
