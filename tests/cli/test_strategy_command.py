"""`ktrdr strategy`: faults told word for word without a service, files kept and given back by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import ktrdr
from running_service import RunningService

from ktrdr import sample

SOURCE = sample.strategies()["trend_follower"]


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_a_valid_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ran = ktrdr(capsys, "strategy", "validate", written(tmp_path, SOURCE))
    assert ran.code == 0
    assert ran.out == f"{tmp_path}/mine.yaml is valid: trend_follower over AAPL, IBM, MSFT, 19 features\n"


def test_every_fault_is_told_with_its_place_and_mending(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wrong = SOURCE.replace("epochs: 40", "epochs: 0").replace("type: rsi", "type: rsy")
    ran = ktrdr(capsys, "strategy", "validate", written(tmp_path, wrong))
    assert ran.code == 2
    assert ran.out.splitlines() == [
        f"{tmp_path}/mine.yaml is not valid: 2 faults",
        "  indicators.rsi_14.type: 'rsy' is not an indicator",
        "    fix: the nearest is 'rsi'",
        "  training.epochs: 0 is out of range",
        "    fix: a whole number from 1 to 100000",
    ]


def test_a_key_without_effect_is_a_warning_and_in_strict_mode_a_fault(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = written(tmp_path, SOURCE.replace("  batch_size: 64", "  batchsize: 64"))
    lenient = ktrdr(capsys, "strategy", "validate", path)
    assert lenient.code == 0
    assert lenient.out.splitlines()[1:] == [
        "one warning",
        "  training.batchsize: 'batchsize' is not a known key and has no effect",
        "    fix: the nearest known key is 'batch_size'",
    ]
    strict = ktrdr(capsys, "strategy", "validate", path, "--strict", "--json")
    assert strict.code == 2
    assert strict.json["valid"] is False
    assert [fault["path"] for fault in strict.json["errors"]] == ["training.batchsize"]


def test_json_says_what_the_file_means(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    meant = ktrdr(capsys, "strategy", "validate", written(tmp_path, SOURCE), "--json").json
    assert meant["valid"] is True
    assert meant["strategy"]["training"]["batch_size"] == 64
    assert len(meant["features"]) == 19


def test_a_missing_file_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "strategy", "validate", "nowhere.yaml")
    assert ran.code == 2
    assert "nowhere.yaml" in ran.err


def test_a_stored_strategy_comes_back_as_it_was_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, service: RunningService
) -> None:
    text = SOURCE.replace("name: trend_follower", "name: stored_by_a_test")
    put = ktrdr(capsys, "strategy", "put", written(tmp_path, text), "--url", service.url)
    assert (put.code, put.out) == (0, "stored_by_a_test is stored; train it with: ktrdr train stored_by_a_test\n")
    assert ktrdr(capsys, "strategy", "show", "stored_by_a_test", "--url", service.url).out == text
    listed = ktrdr(capsys, "strategy", "list", "--url", service.url).out
    assert "stored_by_a_test  stored" in listed
    assert "trend_follower    sample" in listed


def test_an_invalid_file_is_not_stored(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, service: RunningService
) -> None:
    path = written(tmp_path, SOURCE.replace("epochs: 40", "epochs: 0"))
    ran = ktrdr(capsys, "strategy", "put", path, "--url", service.url)
    assert ran.code == 2
    assert ran.err.startswith("error: one fault\n  training.epochs: 0 is out of range\n")


def test_an_unknown_strategy_is_not_found(capsys: pytest.CaptureFixture[str], service: RunningService) -> None:
    ran = ktrdr(capsys, "strategy", "show", "nope", "--url", service.url)
    assert ran.code == 5
    assert ran.err == "error: there is no strategy 'nope'\n  fix: list them with: ktrdr strategy list\n"
