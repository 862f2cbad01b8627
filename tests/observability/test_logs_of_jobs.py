"""What the parts of a service log of its jobs and requests: the same for every kind of worker, and never a secret."""

from __future__ import annotations

import re
from typing import Any

import pytest
from observed_service import CALLER, TOKEN, Observed
from running_service import wait_until

from ktrdr.training.run import STAGES

PARTS = ("serve", "worker", "host-worker")


def without_figures(line: dict[str, Any]) -> str:
    """The message, without what differs from attempt to attempt."""
    message = re.sub(r"took [0-9.]+ s", "took a while", line["message"])
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}", "…", message)


def wait_for_end(observed: Observed, part: str, job: str) -> list[dict[str, Any]]:
    """The lines of a job, once its last one is written: the log of events may be ahead of it."""

    def whole() -> list[dict[str, Any]] | None:
        lines = observed.lines_of(part, job)
        return lines if lines and re.search(r" is (completed|failed|cancelled)", lines[-1]["message"]) else None

    found: list[dict[str, Any]] = wait_until(whole)
    return found


def test_an_attempt_reads_the_same_wherever_it_ran(observed: Observed) -> None:
    local = wait_for_end(observed, "worker", "local")
    host = [
        line
        for line in wait_for_end(observed, "host-worker", "host")
        if line["logger"] == "ktrdr.worker.account"  # and not of its connection
    ]
    told = [without_figures(line) for line in local]
    assert told == [without_figures(line) for line in host]
    assert told[0] == "job … is taken up, in trace …: attempt 1 at trend_follower under lease 1"
    assert told[-1] == "job … is completed"
    steps = [one for one in told if one.startswith("step ")]
    assert steps == [
        f"step {number} of 11: {name} {how}"
        for number, name in enumerate(STAGES, start=1)
        for how in ("began", "took a while")
    ]
    assert [line["facts"]["train_loss"] for line in local if "epoch 1 of 2" in line["message"]]
    assert [line["facts"] for line in local if "facts" in line and "epoch" not in line["message"]] == [
        line["facts"] for line in host if "facts" in line and "epoch" not in line["message"]
    ]
    for lines in (local, host):
        about = {(line["attempt"], line["lease_epoch"], line["trace_id"]) for line in lines}
        assert about == {(1, 1, CALLER)}
        assert len({line["worker"] for line in lines}) == 1


def test_a_cancellation_and_a_failure_are_told_with_their_reasons(observed: Observed) -> None:
    cancelled = wait_for_end(observed, "worker", "cancelled")
    assert [line["message"] for line in cancelled].count("the cancellation is seen") == 1
    assert cancelled[-1]["message"].endswith("is cancelled")
    assert cancelled[-1]["facts"]["where"].startswith("epoch ")
    failed = wait_for_end(observed, "worker", "failed")[-1]
    assert failed["level"] == "warning"
    job = observed.service.client.job(observed.jobs["failed"])
    assert failed["facts"]["kind"] == job["failure"]["kind"]
    assert failed["message"].endswith(f"is failed: {job['failure']['message']}")


def test_a_request_is_told_by_its_route_its_id_and_who_asked(observed: Observed) -> None:
    observed.service.http.get(f"/jobs/{observed.jobs['local']}", headers={"X-Request-Id": "looks-once"})
    line = wait_until(lambda: [one for one in observed.lines("serve") if one.get("request_id") == "looks-once"])[0]
    assert line["message"] == "GET /api/v1/jobs/{job_id} 200"
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/v1/jobs/{job_id}", 200)
    assert (line["caller"], line["level"]) == ("operator", "debug")
    assert line["ms"] > 0
    (submitted,) = [one for one in observed.lines("serve") if one.get("request_id") == "submits-local"]
    assert submitted["trace_id"] == CALLER


@pytest.mark.parametrize("part", PARTS)
def test_every_line_is_json_with_the_fields_that_all_have(observed: Observed, part: str) -> None:
    lines = observed.lines(part)
    assert lines
    for line in lines:
        assert list(line)[:5] == ["time", "level", "part", "logger", "message"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"])
        assert line["part"] in (part, "job process")
        assert line["level"] in ("debug", "info", "warning", "error")


def test_no_log_holds_a_secret(observed: Observed) -> None:
    wrong = "another-token-that-is-a-secret-too"
    refused = observed.service.http.get("/jobs", headers={"Authorization": f"Bearer {wrong}", "X-Request-Id": "wrong"})
    assert refused.status_code == 401
    wait_until(lambda: '"wrong"' in observed.log_of("serve"))
    for part in PARTS:
        assert TOKEN not in observed.log_of(part)
        assert wrong not in observed.log_of(part)
