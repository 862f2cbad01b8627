"""`ktrdr strategy`: faults told word for word without a service, files begun, explained, kept and given back."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import ktrdr
from jsonschema import Draft202012Validator
from running_service import RunningService

from ktrdr import sample
from ktrdr.training.strategy.parse import parse, to_mapping
from ktrdr.training.strategy.reader import read_text

SOURCE = sample.strategies()["trend_follower"]
NOWHERE = ("--url", "http://127.0.0.1:9")


def written(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def line_of(text: str, words: str) -> int:
    return text[: text.index(words)].count("\n") + 1


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
        f"  line {line_of(wrong, 'type: rsy')}, indicators.rsi_14.type: 'rsy' is not an indicator",
        "    fix: the nearest is 'rsi'",
        f"  line {line_of(wrong, 'epochs: 0')}, training.epochs: 0 is out of range",
        "    fix: a whole number from 1 to 100000",
    ]


def test_a_mistyped_key_that_makes_another_one_missing_is_told_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wrong = SOURCE.replace("hidden_layers:", "hiden_layers:")
    told = ktrdr(capsys, "strategy", "validate", written(tmp_path, wrong)).out.splitlines()
    line = line_of(wrong, "hiden_layers")
    assert told[1:] == [
        f"  line {line - 1}, model.architecture.hidden_layers: 'hidden_layers' is missing",
        "    fix: for example hidden_layers: [64, 32]",
        "one warning",
        f"  line {line}, model.architecture.hiden_layers: 'hiden_layers' is not a known key and has no effect",
        "    fix: the nearest known key is 'hidden_layers'",
    ]


def test_a_key_without_effect_is_a_warning_and_in_strict_mode_a_fault(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = SOURCE.replace("  batch_size: 64", "  batchsize: 64")
    path = written(tmp_path, text)
    lenient = ktrdr(capsys, "strategy", "validate", path)
    assert lenient.code == 0
    assert lenient.out.splitlines()[1:] == [
        "one warning",
        f"  line {line_of(text, 'batchsize')}, training.batchsize: 'batchsize' is not a known key and has no effect",
        "    fix: the nearest known key is 'batch_size'",
    ]
    strict = ktrdr(capsys, "strategy", "validate", path, "--strict", "--json")
    assert strict.code == 2
    assert strict.json["valid"] is False
    assert [(fault["path"], fault["line"]) for fault in strict.json["errors"]] == [
        ("training.batchsize", line_of(text, "batchsize"))
    ]


def test_text_that_is_no_yaml_is_told_with_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ran = ktrdr(capsys, "strategy", "validate", written(tmp_path, "name: [x\nmodel: {}\n"))
    assert ran.code == 2
    assert "line 2, column 6" in ran.out
    assert ktrdr(capsys, "strategy", "validate", written(tmp_path, "", "empty.yaml")).code == 2


def test_json_says_what_the_file_means(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    meant = ktrdr(capsys, "strategy", "validate", written(tmp_path, SOURCE), "--json").json
    assert meant["valid"] is True
    assert meant["strategy"]["training"]["batch_size"] == 64
    assert len(meant["features"]) == 19
    assert meant["warm_up_bars"] == 27  # adx: twice its period, less one
    assert meant["parameters"] == 19 * 32 + 32 + 32 * 16 + 16 + 16 * 3 + 3


def test_several_files_are_reported_one_by_one_and_one_bad_one_spoils_the_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good = written(tmp_path, SOURCE, "good.yaml")
    bad = written(tmp_path, SOURCE.replace("epochs: 40", "epochs: 0"), "bad.yaml")
    ran = ktrdr(capsys, "strategy", "validate", good, bad, "--json")
    assert ran.code == 2
    assert [(report["file"], report["valid"]) for report in ran.json_lines] == [(str(good), True), (str(bad), False)]
    assert ktrdr(capsys, "strategy", "validate", good, good).code == 0


def test_the_standard_input_is_a_file_called_minus(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(SOURCE.encode())))
    ran = ktrdr(capsys, "strategy", "validate", "-")
    assert (ran.code, ran.out) == (
        0, "standard input is valid: trend_follower over AAPL, IBM, MSFT, 19 features\n",
    )  # fmt: skip


def test_a_missing_file_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("validate", "show"):
        ran = ktrdr(capsys, "strategy", command, "nowhere.yaml")
        assert ran.code == 2
        assert "nowhere.yaml" in ran.err


def test_what_is_shown_is_the_same_strategy_with_its_defaults_marked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ran = ktrdr(capsys, "strategy", "show", written(tmp_path, SOURCE))
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[:4] == [
        "# 1,219 parameters in the network.",
        "# 27 bars at most until the first sample: the warm-up.",
        "# 19 features, in this order:",
        "#   1d_momentum_weak",
    ]
    assert parse(ran.out, strict=True).strategy == parse(SOURCE).strategy
    for line in ("  epochs: 40", "  gradient_clip: 1  # default", "    smooth_k: 3  # default", "    list: [1d]"):
        assert line in lines


def test_what_is_shown_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown = ktrdr(capsys, "strategy", "show", written(tmp_path, SOURCE), "--json").json
    assert shown["strategy"] == to_mapping(parse(SOURCE).strategy)
    assert (len(shown["features"]), shown["warm_up_bars"], shown["parameters"]) == (19, 27, 1219)


def test_a_sample_is_shown_even_without_a_service(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "strategy", "show", "trend_follower", "--source", *NOWHERE)
    assert (ran.code, ran.out) == (0, SOURCE)
    assert ktrdr(capsys, "strategy", "show", "stored_somewhere", *NOWHERE).code == 6


def test_a_faulty_file_is_not_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ran = ktrdr(capsys, "strategy", "show", written(tmp_path, SOURCE.replace("epochs: 40", "epochs: 0")))
    assert (ran.code, ran.out) == (2, "")
    assert "training.epochs: 0 is out of range" in ran.err


@pytest.mark.parametrize(
    "options",
    [(), *(("--model", name) for name in ("mlp", "lstm", "gru")), *(("--from", n) for n in sample.strategies())],
)
def test_a_new_strategy_is_valid_without_a_warning(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    to_stdout = ktrdr(capsys, "strategy", "new", *options)
    assert to_stdout.code == 0
    assert parse(to_stdout.out, strict=True)
    ran = ktrdr(capsys, "strategy", "new", "mine", *options, "--url", "http://example:1")
    assert (ran.code, ran.out) == (0, "mine.yaml is written; check it with: ktrdr strategy validate mine.yaml\n")
    text = (tmp_path / "mine.yaml").read_text()
    assert text.splitlines()[0] == "# yaml-language-server: $schema=http://example:1/api/v1/strategy-schema"
    strategy = parse(text, strict=True).strategy
    assert strategy.name == "mine"
    if "--model" in options:
        assert strategy.model.type == options[1]


def test_a_file_is_never_overwritten(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "precious")
    for name in ("mine", "mine.yaml"):
        ran = ktrdr(capsys, "strategy", "new", name)
        assert ran.code == 2
        assert "mine.yaml exists already" in ran.err
    assert (tmp_path / "mine.yaml").read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "nothing"), "there is no sample 'nothing'; there are "),
        (("--from", "regime_finder", "--model", "gru"), "give either --model or --from"),
        (("no spaces",), "'no spaces' cannot name a strategy"),
    ],
)
def test_what_cannot_be_begun(capsys: pytest.CaptureFixture[str], options: tuple[str, ...], told: str) -> None:
    ran = ktrdr(capsys, "strategy", "new", *options)
    assert ran.code == 2
    assert told in ran.err


def test_the_schema_is_printed_and_accepts_the_samples(capsys: pytest.CaptureFixture[str]) -> None:
    ran = ktrdr(capsys, "strategy", "schema")
    assert ran.json == ktrdr(capsys, "strategy", "schema", "--json").json
    validator = Draft202012Validator(ran.json)
    for text in sample.strategies().values():
        assert validator.is_valid(read_text(text))


def test_the_service_has_the_schema_and_the_facts_of_a_file(
    capsys: pytest.CaptureFixture[str], service: RunningService
) -> None:
    answer = service.http.get("/strategy-schema")
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json() == json.loads(ktrdr(capsys, "strategy", "schema").out)
    assert str(answer.url).endswith(sample.SCHEMA_PATH)
    meant = service.http.post("/strategies", json={"strategy": SOURCE}).json()
    assert (len(meant["features"]), meant["warm_up_bars"], meant["parameters"]) == (19, 27, 1219)


def test_a_stored_strategy_comes_back_as_it_was_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, service: RunningService
) -> None:
    text = SOURCE.replace("name: trend_follower", "name: stored_by_a_test")
    put = ktrdr(capsys, "strategy", "put", written(tmp_path, text), "--url", service.url)
    assert (put.code, put.out) == (0, "stored_by_a_test is stored; train it with: ktrdr train stored_by_a_test\n")
    assert ktrdr(capsys, "strategy", "show", "stored_by_a_test", "--source", "--url", service.url).out == text
    assert "name: stored_by_a_test\n" in ktrdr(capsys, "strategy", "show", "stored_by_a_test", "--url", service.url).out
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
