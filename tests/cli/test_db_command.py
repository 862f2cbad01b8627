"""`ktrdr db` on an installation of its own, without any service."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from audited_log import write_log
from commands import ktrdr


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("KTRDR_HOME", str(folder))
    write_log(folder)
    return folder


def damage_projection(home: Path) -> None:
    with sqlite3.connect(home / "ktrdr.db") as connection:
        connection.execute("UPDATE jobs SET status = 'failed' WHERE status = 'completed'")
    connection.close()


def test_a_sound_log(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    ran = ktrdr(capsys, "audit", "verify")
    assert ran.code == 0
    assert ran.out.startswith("sound: ")
    assert ktrdr(capsys, "audit", "verify", "--json").json["sound"] is True


def test_damage_is_told_and_gives_an_exit_code(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    damage_projection(home)
    ran = ktrdr(capsys, "audit", "verify")
    assert ran.code == 1
    assert ran.out.splitlines()[0].startswith("wrong: jobs of job ")
    assert ran.out.splitlines()[-1].startswith("not sound: 1 finding in ")


def test_rebuilding_checks_first_and_then_repairs(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert ktrdr(capsys, "db", "rebuild", "--check").code == 0
    damage_projection(home)
    checked = ktrdr(capsys, "db", "rebuild", "--check")
    assert checked.code == 1
    assert checked.out.endswith("one difference, not repaired\n")
    repaired = ktrdr(capsys, "db", "rebuild", "--json")
    assert repaired.code == 0
    assert len(repaired.json["differences"]) == 1
    assert ktrdr(capsys, "db", "rebuild", "--check").out.endswith("no difference\n")
    assert ktrdr(capsys, "audit", "verify").code == 0


@pytest.mark.parametrize("command", [("audit", "verify"), ("db", "rebuild")])
def test_no_database_is_made_where_there_is_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, str]
) -> None:
    monkeypatch.setenv("KTRDR_HOME", str(tmp_path / "elsewhere"))
    ran = ktrdr(capsys, *command)
    assert ran.code == 1
    assert ran.err == f"error: there is no database in {tmp_path}/elsewhere; KTRDR_HOME says where to look\n"
    assert not (tmp_path / "elsewhere").exists()
