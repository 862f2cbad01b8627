"""What goes wrong: told in words with a way out, and by the exit code."""

from __future__ import annotations

import json

import pytest
from commands import ktrdr
from running_service import RunningService

from ktrdr.cli.parts import free_port

NO_JOB = "01a20b40-0000-7000-8000-000000000000"


def test_a_service_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    ran = ktrdr(capsys, "jobs", "list", "--url", url)
    assert ran.code == 6
    assert ran.err == (
        f"error: the service at {url} cannot be reached: [Errno 111] Connection refused\n"
        "  fix: start it with: ktrdr up (or say where it is, with --url or KTRDR_URL)\n"
    )
    assert ran.out == ""


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://"])
def test_an_address_that_is_none(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert ktrdr(capsys, "jobs", "list", "--url", url).code == 6


@pytest.mark.parametrize("command", ["show", "events", "follow", "cancel", "predict", "model"])
def test_a_job_that_is_not_there(capsys: pytest.CaptureFixture[str], service: RunningService, command: str) -> None:
    ran = ktrdr(capsys, "jobs", command, NO_JOB, "--url", service.url)
    assert ran.code == 5
    assert ran.err == f"error: there is no job {NO_JOB}\n  fix: list the jobs with: ktrdr jobs list\n"


def test_every_fault_of_a_request_is_told(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    ran = ktrdr(capsys, "train", "trend_follower", "--symbols", "AAPL,TSLA", "--priority", "5000", "--url", service.url)
    assert ran.code == 2
    assert ran.err.startswith("error: The request is not valid: 2 faults found; nothing was changed\n  priority: 5000 ")
    assert "symbols[1]: there are no 1d prices of 'TSLA'" in ran.err
    ran = ktrdr(capsys, "train", "trend_follower", "--symbols", "TSLA,AAPL,NVDA", "--url", service.url)
    assert ran.code == 2
    assert "symbols[0]: there are no 1d prices of 'TSLA'\n    fix: import them with: ktrdr data import" in ran.err
    assert "symbols[2]: there are no 1d prices of 'NVDA'" in ran.err


def test_a_refusal(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    job_id = service.client.submit("trend_follower", target="host")["id"]
    service.client.cancel(job_id)
    ran = ktrdr(capsys, "jobs", "cancel", job_id, "--url", service.url)
    assert ran.code == 1
    assert ran.err == (
        f"error: job {job_id} is already cancelled, so nothing more can happen to it\n"
        "  fix: submit it again to train another model\n"
    )


def test_an_error_as_json(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    ran = ktrdr(capsys, "jobs", "show", NO_JOB, "--url", service.url, "--json")
    assert ran.code == 5
    assert json.loads(ran.err) == {
        "error": f"there is no job {NO_JOB}",
        "exit_code": 5,
        "fix": "list the jobs with: ktrdr jobs list",
        "faults": [],
    }
    assert ran.out == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere.yaml", "there is no file nowhere.yaml"),
        ("folder/strategy", "there is no file folder/strategy"),
    ],
)
def test_a_strategy_file_that_is_not_there(capsys: pytest.CaptureFixture[str], given: str, message: str) -> None:
    ran = ktrdr(capsys, "train", given)
    assert ran.code == 2
    assert ran.err == f"error: Invalid value for FILE_OR_NAME: {message}\n  fix: see ktrdr train --help\n"


def test_a_label_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "train", "trend_follower", "--label", "desk")
    assert ran.code == 2
    assert "'desk' is not KEY=VALUE" in ran.err
