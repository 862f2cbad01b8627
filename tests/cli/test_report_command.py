"""`ktrdr report` and the API behind it, against a real service with one completed job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import ktrdr
from running_service import RunningService
from strategies import short

PAGE = "<!doctype html>"


@pytest.fixture(scope="module")
def job_id(service: RunningService) -> str:
    found = service.client.submit(short(), symbols=["IBM", "AAPL"], labels={"from": "test_report"})["id"]
    service.wait_for(found, "completed")
    return found


def test_the_page_is_written_under_the_jobs_name(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str, tmp_path: Path
) -> None:
    ran = ktrdr(capsys, "report", job_id, "-o", tmp_path, "--url", service.url)
    assert (ran.code, ran.out) == (0, f"{tmp_path}/report-{job_id}.html\n")
    page = Path(ran.out.strip()).read_text("utf-8")
    digest = service.client.job(job_id)["result"]["model_digest"]
    assert page.startswith(PAGE)
    assert "trend_follower" in page
    assert job_id in page
    assert digest in page
    assert [path.name for path in tmp_path.iterdir()] == [f"report-{job_id}.html"]


def test_a_file_may_be_named(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.html"
    assert ktrdr(capsys, "report", job_id[-8:], "--output", path, "--url", service.url).out == f"{path}\n"
    assert path.read_text("utf-8").startswith(PAGE)


def test_the_figures_as_json(capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str) -> None:
    ran = ktrdr(capsys, "report", job_id, "--json", "--url", service.url)
    result = service.client.job(job_id)["result"]
    assert ran.json["metrics"] == json.loads(json.dumps(result["metrics"]))
    assert list(ran.json["symbol_metrics"]) == ["IBM", "AAPL"]
    assert ran.err == ""


def test_the_job_and_its_page_warn_alike(
    capsys: pytest.CaptureFixture[str], service: RunningService, job_id: str
) -> None:
    warnings = service.client.report(job_id)["warnings"]
    shown = ktrdr(capsys, "jobs", "show", job_id, "--url", service.url).out
    assert warnings
    assert all(f"warning: {warning}\n" in shown for warning in warnings)
    assert "buy and hold" in shown


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/json, text/html", "application/json"),
        ("text/html", "text/html; charset=utf-8"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
    ],
)
def test_a_browser_gets_the_page_and_a_program_the_data(
    service: RunningService, job_id: str, accept: str, kind: str
) -> None:
    answer = service.http.get(f"/jobs/{job_id}/report", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["vary"].split(", ") == ["Accept", "Accept-Encoding"]


def test_a_job_without_a_model_has_no_report(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    waiting = service.client.submit("trend_follower", target="host")["id"]
    ran = ktrdr(capsys, "report", waiting, "--url", service.url)
    service.client.cancel(waiting)
    assert ran.code == 1
    assert "is queued, so it has no model" in ran.err
    assert ktrdr(capsys, "report", "0" * 36, "--url", service.url).code == 5
