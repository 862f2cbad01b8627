"""`ktrdr config`: every setting, and where its value comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import ktrdr

from ktrdr.settings import SETTINGS


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[object, str]]:
    settings = ktrdr(capsys, "config", "--json").json["settings"]
    return {one["variable"]: (one["value"], one["source"]) for one in settings}


def test_every_setting_is_shown_with_its_origin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KTRDR_HOME", str(tmp_path))
    monkeypatch.setenv("KTRDR_PORT", "9000")
    settings = shown(capsys)
    assert list(settings) == [setting.variable for setting in SETTINGS.values()]
    assert settings["KTRDR_HOME"] == (str(tmp_path), "environment")
    assert settings["KTRDR_PORT"] == (9000, "environment")
    assert settings["KTRDR_URL"] == ("http://127.0.0.1:9000", "default")


def test_the_switch_for_the_host_service_is_named_as_the_origin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USE_TRAINING_HOST_SERVICE", "true")
    assert shown(capsys)["KTRDR_DEFAULT_TARGET"] == ("host", "USE_TRAINING_HOST_SERVICE")


def test_a_password_is_not_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTRDR_DATABASE_URL", "postgresql://anna:secret@db/ktrdr")
    assert shown(capsys)["KTRDR_DATABASE_URL"] == ("postgresql://anna:***@db/ktrdr", "environment")


def test_a_wrong_setting_is_told_with_what_would_be_right(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTRDR_SLOTS", "many")
    ran = ktrdr(capsys, "config")
    assert ran.code == 2
    assert ran.err == "error: one fault\n  KTRDR_SLOTS: 'many' is not possible\n    fix: give 1 to 256\n"


def test_the_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    head, *rows = ktrdr(capsys, "config").out.splitlines()
    assert head.split() == ["variable", "value", "from", "meaning"]
    assert len(rows) == len(SETTINGS)
