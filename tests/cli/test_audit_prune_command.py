"""`ktrdr audit prune`: it says first, asks, and does what it said."""

from __future__ import annotations

from pathlib import Path

import pytest
from audited_log import COMPLETED_JOB, write_log
from commands import Ran, ktrdr

from ktrdr.audit.archive import archive_of
from ktrdr.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("KTRDR_HOME", str(tmp_path / "home"))
    return write_log(tmp_path / "home")


def prune(capsys: pytest.CaptureFixture[str], *options: str, age: str = "0d") -> Ran:
    return ktrdr(capsys, "audit", "prune", "--older-than", age, *options)


def test_a_dry_run_says_what_would_be_done_and_does_nothing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        ran = prune(capsys, "--dry-run")
        assert (ran.code, ran.out) == (0, "3 events of one job would be pruned, 0.0 MB of data\n")
    assert not archive_of(store, COMPLETED_JOB).exists()


def test_without_a_yes_nothing_is_done(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(capsys).code != 0
    assert prune(capsys, "--dry-run", "--json").json["events"] == 3


def test_with_a_yes_it_is_done_once(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    ran = prune(capsys, "--yes", "--json")
    assert ran.code == 0
    assert ran.json.keys() == {"jobs", "events", "bytes", "left", "freed_bytes"}
    assert (ran.json["jobs"], ran.json["events"], ran.json["left"]) == (1, 3, [])
    again = prune(capsys, "--yes")
    assert (again.code, again.out) == (0, "there is nothing to prune\n")
    assert ktrdr(capsys, "audit", "verify").code == 0


def test_younger_jobs_are_left(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(capsys, "--yes", "--json", age="12h").json["jobs"] == 0


@pytest.mark.parametrize("age", ["90", "d", "-1d", "1.5d", "3w", "999999999d", ""])
def test_what_is_no_age_is_told_with_what_is_one(store: Store, capsys: pytest.CaptureFixture[str], age: str) -> None:
    ran = prune(capsys, "--yes", age=age)
    assert ran.code == 2
    assert "as in 90d or 12h" in ran.err


def test_a_job_that_cannot_be_archived_safely_is_left_and_told(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    prune(capsys, "--yes")
    with store.engine.connect() as connection:  # as if it had been interrupted before its last event
        connection.exec_driver_sql("DROP TRIGGER events_are_never_changed")
        connection.exec_driver_sql("UPDATE events SET data = '{}' WHERE type = 'StageFinished'")
    archive_of(store, COMPLETED_JOB).unlink()
    ran = prune(capsys, "--yes")
    assert ran.code == 1
    assert f"the archive of job {COMPLETED_JOB} is missing" in ran.err


def test_the_events_are_shown_with_what_was_archived(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    before = ktrdr(capsys, "jobs", "events", COMPLETED_JOB, "--archived", "--json")
    assert len(before.json_lines) == 6
    prune(capsys, "--yes")
    assert ktrdr(capsys, "jobs", "events", COMPLETED_JOB, "--archived", "--json") == before
    archive_of(store, COMPLETED_JOB).write_bytes(b"torn")
    torn = ktrdr(capsys, "jobs", "events", COMPLETED_JOB, "--archived")
    assert torn.code != 0
    assert "cannot be read" in torn.err
    archive_of(store, COMPLETED_JOB).unlink()
    left = ktrdr(capsys, "jobs", "events", COMPLETED_JOB, "--archived", "--json")
    assert [event["data"] is None for event in left.json_lines] == [False, False, True, True, True, False]
