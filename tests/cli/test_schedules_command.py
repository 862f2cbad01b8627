"""`ktrdr schedules`: made, looked at, paused, fired and deleted from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from commands import ktrdr
from running_service import RunningService

from ktrdr.sentences import sentence


@pytest.fixture
def schedules(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    """The shared service, left without schedules and with none of their jobs waiting."""
    monkeypatch.setenv("KTRDR_URL", service.url)
    yield service
    for one in service.client.schedules():
        for job in service.client.jobs(label=[f"schedule={one['name']}"]):
            if job["status"] in ("queued", "running"):
                service.client.cancel(job["id"])
        service.client.delete_schedule(one["name"])


def test_the_life_of_a_schedule(schedules: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    made = ktrdr(
        capsys, "schedules", "create", "nightly", "trend_follower", "--cron", "30 2 * * tue-sat", "--timezone",
        "America/New_York", "--symbols", "AAPL,IBM", "--window", "3650d", "--window-ends", "last_bar",
        "--seed", "firing", "--label", "desk=rates", "--target", "host",
    )  # fmt: skip
    assert (made.code, made.err) == (0, "")
    assert made.out.startswith("schedule nightly is made; due next at 20")
    listed = ktrdr(capsys, "schedules", "list").out
    assert "nightly   30 2 * * tue-sat in America/New_York" in listed
    shown = ktrdr(capsys, "schedules", "show", "nightly").out
    for line in (
        "data      3650d that end at the last bar",
        "seed      another one for each firing",
        "symbols   AAPL, IBM",
    ):
        assert line in shown
    local = ktrdr(capsys, "schedules", "next", "nightly", "--count", "2", "--json").json["local"]
    assert [moment[10:19] for moment in local] == ["T02:30:00"] * 2
    paused = ktrdr(capsys, "schedules", "pause", "nightly", "--reason", "holidays")
    assert paused.out == "schedule nightly is paused; it fires no more by itself\n"
    assert "holidays" in ktrdr(capsys, "schedules", "show", "nightly").out
    fired = ktrdr(capsys, "schedules", "fire", "nightly", "--json").json
    assert fired["labels"] == {"desk": "rates", "schedule": "nightly"}
    busy = ktrdr(capsys, "schedules", "fire", "nightly")
    assert busy.code == 1
    assert f"job {fired['id']} of schedule nightly is queued, and its jobs do not overlap" in busy.err
    assert "overlap: queue" in busy.err
    assert ktrdr(capsys, "schedules", "resume", "nightly").out.startswith("schedule nightly is going on; due next at")
    history = ktrdr(capsys, "schedules", "show", "nightly", "--json").json["firings"]
    assert [(one["outcome"], one["job_id"]) for one in history] == [("now", fired["id"])]
    replaced = ktrdr(
        capsys, "schedules", "create", "nightly", "trend_follower", "--every", "6h", "--replace", "--json"
    ).json  # fmt: skip
    assert (replaced["definition"]["every"], replaced["definition"]["cron"]) == ("6h", None)
    schedules.client.cancel(fired["id"])
    assert ktrdr(capsys, "schedules", "delete", "nightly").err == "schedule nightly was deleted; its jobs stay\n"
    gone = ktrdr(capsys, "schedules", "show", "nightly")
    assert gone.code == 5
    assert "list the schedules with: ktrdr schedules list" in gone.err
    events = schedules.client.all_events()
    assert [sentence(event) for event in events if event["job_id"] == "schedule:nightly"] == [
        "the schedule was created: 30 2 * * tue-sat in America/New_York",
        "the schedule was paused: holidays",
        f"fired on request for {history[0]['due_at'][:10]} {history[0]['due_at'][11:19]} UTC: job {fired['id']}",
        "the schedule goes on",
        "the schedule was changed: every 6h",
        "the schedule was deleted",
    ]


def test_a_timing_is_tried_without_making_it(schedules: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--cron", "30 2 * * sun", "--timezone", "Europe/Berlin", "--starting", "2050-03-20", "--count", "2")
    tried = ktrdr(capsys, "schedules", "next", *options)
    assert tried.out.splitlines() == ["2050-03-20T02:30:00+01:00", "2050-03-27T03:30:00+02:00"]
    both = ktrdr(capsys, "schedules", "next", "nightly", *options)
    assert (both.code, "not both" in both.err) == (2, True)
    assert ktrdr(capsys, "schedules", "list").err.startswith("no schedules; make one with")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--cron", "30 2 * *"), "has 4 fields"),
        (("--cron", "@daily", "--misfire", "all"), "overlap: queue"),
        (("--every", "1d", "--seed", "mine"), "neither a whole number nor 'firing'"),
        (("--every", "1d", "--symbols", "NONE"), "there are no 1d prices of 'NONE'"),
    ],
)
def test_what_is_wrong_is_told(
    schedules: RunningService, capsys: pytest.CaptureFixture[str], options: tuple[Any, ...], told: str
) -> None:
    ran = ktrdr(capsys, "schedules", "create", "wrong", "trend_follower", *options)
    assert ran.code == 2
    assert told in ran.err
    assert schedules.client.schedules() == []
