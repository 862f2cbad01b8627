"""`ktrdr jobs` against a real service, with one completed job."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from commands import ktrdr
from running_service import RunningService

from ktrdr import sample


@pytest.fixture(scope="module")
def job_id(service: RunningService) -> str:
    """A completed job."""
    source = sample.strategies()["trend_follower"].replace("epochs: 40", "epochs: 2")
    found = service.client.submit(source, symbols=["IBM"], labels={"from": "test_jobs"})["id"]
    service.wait_for(found, "completed")
    return found


def test_the_list_can_be_filtered(capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str) -> None:
    def listed(*options: str) -> list[str]:
        ran = ktrdr(capsys, "jobs", "list", "--label", "from=test_jobs", "--json", "--url", service.url, *options)
        return [job["id"] for job in ran.json["jobs"]]

    assert listed() == [job_id]
    assert listed("--status", "completed", "--status", "failed", "--strategy", "trend_follower") == [job_id]
    assert listed("--status", "queued") == []
    assert listed("--symbol", "IBM", "--since", "2020-01-01") == [job_id]
    assert listed("--until", "2020-01-01") == []


def test_the_list_as_a_table(capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str) -> None:
    head, row = ktrdr(capsys, "jobs", "list", "--label", "from=test_jobs", "--url", service.url).out.splitlines()
    assert head.split() == ["id", "status", "strategy", "symbols", "submitted", "progress"]
    assert row.split()[:4] == [job_id, "completed", "trend_follower", "IBM"]


def test_an_empty_list_says_what_to_do(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    ran = ktrdr(capsys, "jobs", "list", "--label", "from=nobody", "--url", service.url)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "no such jobs; submit one with: ktrdr train trend_follower\n"


def test_a_job_is_shown_with_its_metrics(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str
) -> None:
    out = ktrdr(capsys, "jobs", "show", job_id, "--url", service.url).out
    assert f"job         {job_id}\nstatus      completed\n" in out
    assert "labels      from=test_jobs\n" in out
    assert "trained for 2 epochs" in out
    assert "without skill" in out


@pytest.mark.parametrize("part", [slice(0, 35), slice(-10, None)], ids=["beginning", "end"])
def test_a_part_of_an_id_is_enough(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str, part: slice
) -> None:
    assert ktrdr(capsys, "jobs", "show", job_id[part], "--json", "--url", service.url).json["id"] == job_id


def test_a_part_that_several_ids_share_is_refused(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str
) -> None:
    service.client.cancel(service.client.submit("trend_follower", target="host")["id"])
    ran = ktrdr(capsys, "jobs", "show", job_id[:3], "--url", service.url)
    assert ran.code == 2
    assert "may be any of" in ran.err


def test_every_event_is_shown(capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str) -> None:
    events = ktrdr(capsys, "jobs", "events", job_id, "--json", "--url", service.url).json_lines
    assert events == list(service.client.events(job_id))
    table = ktrdr(capsys, "jobs", "events", job_id, "--url", service.url).out.splitlines()
    assert [line.split()[0] for line in table[1:]] == [str(event["position"]) for event in events]


def test_following_a_job_that_has_ended_tells_it_all_again(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str
) -> None:
    ran = ktrdr(capsys, "jobs", "follow", job_id, "--json", "--url", service.url)
    assert (ran.code, ran.json_lines[-1]["type"]) == (0, "JobCompleted")


def test_predictions_of_every_symbol_and_of_one(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str
) -> None:
    ran = ktrdr(capsys, "jobs", "predict", job_id, "--json", "--url", service.url)
    assert list(ran.json["predictions"]) == ["IBM"]
    table = ktrdr(capsys, "jobs", "predict", job_id, "--symbol", "AAPL", "--last", "3", "--url", service.url).out
    head, *rows = (line.split() for line in table.splitlines())
    assert head == ["symbol", "time", "buy", "hold", "sell", "decision", "position"]
    assert [row[:2] for row in rows] == [["AAPL", "2013-02-27"], ["AAPL", "2013-02-28"], ["AAPL", "2013-03-01"]]


def test_the_model_is_downloaded(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str, tmp_path: Path
) -> None:
    ran = ktrdr(capsys, "jobs", "model", job_id, "--output", tmp_path, "--url", service.url)
    assert ran.out == f"{tmp_path}/model-{job_id}.zip\n"
    assert [path.name for path in tmp_path.iterdir()] == [f"model-{job_id}.zip"]
    with zipfile.ZipFile(ran.out.strip()) as archive:
        assert {"SHA256SUMS", "weights.safetensors"} <= set(archive.namelist())


def test_a_waiting_job_is_cancelled_at_once(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    waiting = service.client.submit("trend_follower", target="host")["id"]
    ran = ktrdr(capsys, "jobs", "cancel", waiting, "--reason", "too many", "--url", service.url)
    assert (ran.code, ran.out) == (0, f"{waiting} cancelled\n")
    cancellation = service.client.job(waiting)["cancellation"]
    assert cancellation is not None
    assert cancellation["reason"] == "too many"
