"""`ktrdr train` against a real service: progress as lines and as JSON, and an exit code for each end."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from commands import ended_with_the_test, ktrdr, start
from running_service import PATIENCE_SECONDS, RunningService

from ktrdr import sample

SOURCE = sample.strategies()["trend_follower"]


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A strategy file of two epochs."""
    path = tmp_path / "short.yaml"
    path.write_text(SOURCE.replace("epochs: 40", "epochs: 2"))
    return path


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    path = tmp_path / "endless.yaml"
    path.write_text(SOURCE.replace("epochs: 40", "epochs: 100000").replace("  early_stopping", "  # early_stopping"))
    return path


def test_a_job_is_submitted_with_everything_that_was_said(
    capsys: pytest.CaptureFixture[str], service: RunningService, short: Path
) -> None:
    ran = ktrdr(
        capsys, "train", short, "--symbols", "IBM, AAPL", "--timeframes", "1d", "--start", "2003-01-01",
        "--end", "2010-12-31", "--seed", "5", "--target", "host", "--priority", "3", "--label", "desk=rates",
        "--label", "who=anna", "--url", service.url,
    )  # fmt: skip
    assert ran.code == 0
    job = service.client.job(ran.out.strip())
    service.client.cancel(job["id"])
    assert job["symbols"] == ["IBM", "AAPL"]
    assert (job["target"], job["priority"]) == ("host", 3)
    assert job["labels"] == {"desk": "rates", "who": "anna"}
    assert job["submission"]["start"] == "2003-01-01T00:00:00.000000Z"
    assert "waits for a worker\n  watch it with: ktrdr jobs follow" in ran.err


def test_the_same_key_gives_the_same_job(
    capsys: pytest.CaptureFixture[str], service: RunningService, short: Path
) -> None:
    arguments = ("train", short, "--target", "host", "--idempotency-key", "nightly", "--json", "--url", service.url)
    first, second = (ktrdr(capsys, *arguments).json["id"] for _ in range(2))
    service.client.cancel(first)
    assert first == second
    other = ktrdr(capsys, *arguments, "--priority", "1")
    assert other.code == 1
    assert "the key 'nightly' belongs to job" in other.err


def test_warnings_of_the_strategy_are_told(
    capsys: pytest.CaptureFixture[str], service: RunningService, short: Path
) -> None:
    short.write_text(short.read_text().replace("  batch_size: 64", "  batchsize: 64"))
    ran = ktrdr(capsys, "train", short, "--target", "host", "--url", service.url)
    service.client.cancel(ran.out.strip())
    assert "warning: training.batchsize: 'batchsize' is not a known key" in ran.err
    assert ktrdr(capsys, "train", short, "--strict", "--url", service.url).code == 2


def test_progress_in_lines(capsys: pytest.CaptureFixture[str], service: RunningService, short: Path) -> None:
    ran = ktrdr(capsys, "train", short, "--follow", "--url", service.url)
    assert ran.code == 0
    told = [line[21:] for line in ran.out.splitlines()]
    assert told[0] == "trend_follower over AAPL, IBM, MSFT (1d) was submitted"
    assert [line for line in told if line.startswith("stage 9 of 11 took ")]
    assert [line for line in told if line.startswith("epoch 2 of 2: loss ")]
    assert [line for line in told if line.startswith("completed after 2 epochs")]
    assert next(line.split() for line in ran.out.splitlines() if line.startswith("all "))[:2] == ["all", "accuracy"]
    assert "use it with: ktrdr jobs predict" in ran.err


def test_progress_as_json_lines(capsys: pytest.CaptureFixture[str], service: RunningService, short: Path) -> None:
    ran = ktrdr(capsys, "train", short, "--follow", "--json", "--url", service.url)
    assert ran.code == 0
    assert ran.err == ""
    events = ran.json_lines
    assert [event["version"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[-1]["type"]) == ("JobSubmitted", "JobCompleted")
    assert events == list(service.client.events(events[0]["job_id"]))


def test_a_job_that_fails(capsys: pytest.CaptureFixture[str], service: RunningService, short: Path) -> None:
    ran = ktrdr(capsys, "train", short, "--start", "2013-02-25", "--follow", "--url", service.url)
    assert ran.code == 3
    assert ran.err.startswith("error: the job failed: ")
    assert "\n  fix: " in ran.err


def test_a_job_that_is_cancelled(capsys: pytest.CaptureFixture[str], service: RunningService, short: Path) -> None:
    job_id = ktrdr(capsys, "train", short, "--target", "host", "--url", service.url).out.strip()
    service.client.cancel(job_id, reason="not needed")
    ran = ktrdr(capsys, "jobs", "follow", job_id, "--url", service.url)
    assert ran.code == 4
    assert [line[21:] for line in ran.out.splitlines()][1:] == [
        "client:127.0.0.1 asked to cancel it: not needed",
        "cancelled: before it started",
    ]


def test_ctrl_c_stops_watching_and_nothing_else(service: RunningService, endless: Path) -> None:
    with ended_with_the_test(start(service, "train", endless, "--follow", "--json")) as process:
        assert process.stdout
        job_id = ""
        for line in process.stdout:
            event = json.loads(line)
            job_id = event["job_id"]
            if event["type"] == "EpochFinished":
                process.send_signal(signal.SIGINT)
                break
        _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert f"the job goes on. Cancel it with: ktrdr jobs cancel {job_id}" in told
    assert service.client.job(job_id)["status"] == "running"
    service.client.cancel(job_id)
    service.wait_for(job_id, "cancelled")
