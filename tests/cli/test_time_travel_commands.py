"""`--as-of` and `ktrdr audit diff` in a pipe and as JSON, against a service over a written log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from audited_log import CANCELLED_JOB, COMPLETED_JOB, END, RUNNING_JOB, write_log
from commands import ktrdr
from running_service import RunningService


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    running = RunningService(tmp_path_factory.mktemp("history") / "home")
    try:
        running.home.mkdir()
        write_log(running.home)
        running.start("serve")
        yield running.url
    finally:
        running.close()


def test_a_list_as_of_a_position(capsys: pytest.CaptureFixture[str], url: str) -> None:
    ran = ktrdr(capsys, "jobs", "list", "--as-of", END - 1, "--json", "--url", url)
    assert [(job["id"], job["status"]) for job in ran.json["jobs"]] == [(COMPLETED_JOB, "running")]
    ran = ktrdr(capsys, "jobs", "list", "--as-of", "2020-01-01", "--url", url)
    assert (ran.code, ran.out, ran.err) == (0, "", "no such jobs at that moment\n")


def test_a_job_as_of_a_position(capsys: pytest.CaptureFixture[str], url: str) -> None:
    ran = ktrdr(capsys, "jobs", "show", COMPLETED_JOB, "--as-of", END - 1, "--url", url)
    assert "status      running\n" in ran.out
    assert "events      5, the newest at position 5\n" in ran.out


def test_a_job_that_was_not_submitted_yet(capsys: pytest.CaptureFixture[str], url: str) -> None:
    ran = ktrdr(capsys, "jobs", "show", RUNNING_JOB, "--as-of", END, "--url", url)
    assert ran.code != 0
    assert f"job {RUNNING_JOB} was not submitted yet as of 6" in ran.err


def test_a_difference_is_a_table_of_jobs_and_what_changed(capsys: pytest.CaptureFixture[str], url: str) -> None:
    ran = ktrdr(capsys, "audit", "diff", "--from", END - 1, "--to", 9, "--url", url)
    head, new, *changes = [line.split(maxsplit=3) for line in ran.out.splitlines()]
    assert head == ["job", "what", "before", "after"]
    assert " ".join(new) == f"{CANCELLED_JOB} job trend was submitted; cancelled"
    assert [COMPLETED_JOB, "status", "running", "completed"] in changes
    assert [COMPLETED_JOB, "worker", "w1"] in changes


def test_a_difference_as_json_holds_everything(capsys: pytest.CaptureFixture[str], url: str) -> None:
    ran = ktrdr(capsys, "audit", "diff", "--from", 0, "--json", "--url", url)
    assert [job["id"] for job in ran.json["jobs"]] == [RUNNING_JOB, CANCELLED_JOB, COMPLETED_JOB]


def test_a_difference_that_is_longer_than_its_limit_says_so(capsys: pytest.CaptureFixture[str], url: str) -> None:
    ran = ktrdr(capsys, "audit", "diff", "--from", 0, "--limit", 1, "--url", url)
    assert [line.split()[0] for line in ran.out.splitlines()] == ["job", RUNNING_JOB]
    assert ran.err == "more jobs changed than the 1 shown; see them with a higher --limit\n"


def test_moments_between_which_nothing_changed(capsys: pytest.CaptureFixture[str], url: str) -> None:
    ran = ktrdr(capsys, "audit", "diff", "--from", END, "--to", END, "--url", url)
    assert (ran.code, ran.out, ran.err) == (0, "", "nothing changed between these moments\n")
