"""The report: its JSON from a real training, and the page that is made of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_examples import (
    CPU,
    Recorder,
    Token,
    make_membership,
    make_specification,
    make_strategy,
    make_training,
    random_walk,
    reader,
)

from ktrdr.report import render
from ktrdr.report.page import figures, trading
from ktrdr.training import run
from ktrdr.training.histograms import membership_histogram
from ktrdr.training.saved_model import load
from ktrdr.training.strategy.model import FuzzySet, Labels, Loss, Strategy

FRAMES = {"AAA": random_walk(500, seed=1), "BBB": random_walk(400, seed=2)}
REGRESSION = make_training(
    labels=Labels(source="forward_return", params={"horizon": 5}),
    loss=Loss(type="huber", huber_delta=0.01),
    class_weights="none",
)


def trained(directory: Path, strategy: Strategy) -> tuple[dict[str, Any], run.TrainingResult]:
    """The report of a training, as it was saved."""
    result = run.train(
        make_specification(strategy),
        read_prices=reader(FRAMES),
        output=directory,
        capabilities=CPU,
        progress_callback=Recorder(),
        cancellation_token=Token(),
    )
    return json.loads((directory / "report.json").read_text()), result


@pytest.fixture(scope="module")
def classification(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], run.TrainingResult]:
    return trained(tmp_path_factory.mktemp("report") / "model", make_strategy(symbols=("AAA", "BBB")))


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], run.TrainingResult]:
    return trained(tmp_path_factory.mktemp("report") / "model", make_strategy(training=REGRESSION))


# --- the data ---


def test_the_report_has_what_the_model_was_made_of_and_what_it_reached(
    classification: tuple[dict[str, Any], run.TrainingResult],
) -> None:
    report, result = classification
    assert report["metrics"] == result.metrics
    assert report["symbol_metrics"] == result.per_symbol_metrics
    assert report["warnings"] == result.metrics["warnings"]
    assert len(report["history"]) == result.epochs_trained
    assert [price["symbol"] for price in report["prices"]] == report["symbols"] == ["AAA", "BBB"]
    assert report["parts"]["test"]["samples"] == result.metrics["samples"]
    assert sum(report["parts"]["test"]["classes"].values()) == result.metrics["samples"]
    assert sum(one["samples"] for one in report["reliability"]) == result.metrics["samples"]
    assert {one["input"] for one in report["importance"]} == {"1h_rsi", "1h_atr_14_raw", "1h_swing"}
    final = report["equity"]["model"]["equity"][-1] - 1
    assert final == pytest.approx(result.metrics["trading"]["net_return"], abs=1e-6)


def test_what_goes_into_the_event_log_is_small(classification: tuple[dict[str, Any], run.TrainingResult]) -> None:
    _, result = classification
    assert len(json.dumps(result.metrics)) < 4_000
    assert all(len(json.dumps(of)) < 2_000 for of in result.per_symbol_metrics.values())


def test_fuzzy_sets_are_shown_over_the_bars_of_the_train_part(
    classification: tuple[dict[str, Any], run.TrainingResult],
) -> None:
    report, _ = classification
    rsi, swing = report["fuzzy_sets"]
    assert (rsi["fuzzy_set"], rsi["indicator"], rsi["chart"]) == ("rsi", "rsi_14", "1h")
    assert list(rsi["curves"]) == ["oversold", "neutral", "above"]
    assert (swing["fuzzy_set"], swing["indicator"]) == ("swing", "macd.histogram")
    bars = report["parts"]["train"]["samples"]
    assert sum(rsi["counts"]) + rsi["below"] + rsi["above"] == bars


def test_a_histogram_agrees_with_numpy_and_its_curves_with_the_memberships() -> None:
    values = np.random.default_rng(0).normal(50.0, 10.0, 5_000)
    shape = make_membership("middle", "triangular", 30, 50, 70)
    found = membership_histogram(FuzzySet(id="x", indicator="y", memberships=(shape,)), "1h", values)
    low, high = np.quantile(values, (0.005, 0.995))
    assert (found["edges"][0], found["edges"][-1]) == (pytest.approx(low, rel=1e-5), pytest.approx(high, rel=1e-5))
    assert found["counts"] == np.histogram(values, np.linspace(low, high, 61))[0].tolist()
    assert found["below"] == found["above"] == 25
    expected = np.interp(found["curve_values"], (30, 50, 70), (0, 1, 0))
    np.testing.assert_allclose(found["curves"]["middle"], expected, atol=1e-3)
    assert found["mean_degrees"]["middle"] == pytest.approx(np.interp(values, (30, 50, 70), (0, 1, 0)).mean())


@pytest.mark.parametrize("value", [0.0, 42.0, -1e12])
def test_an_indicator_that_never_moves_has_a_histogram_too(value: float) -> None:
    shape = make_membership("middle", "triangular", 30, 50, 70)
    found = membership_histogram(FuzzySet(id="x", indicator="y", memberships=(shape,)), "1h", np.full(9, value))
    assert sum(found["counts"]) == 9
    json.dumps(found, allow_nan=False)


def test_a_model_knows_the_mean_of_its_features(tmp_path: Path) -> None:
    trained(tmp_path / "model", make_strategy())
    means = load(tmp_path / "model").feature_means
    assert len(means) == 6
    assert means[3] == pytest.approx(0.0, abs=1e-6)  # the raw input has been standardised
    assert all(0.0 < mean < 1.0 for mean in means[:3])


# --- the page ---


class Text(HTMLParser):
    """What a reader sees, and every element and attribute that there is."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)
        self.text = " ".join(" ".join(self.seen).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] not in ("style", "title"):
            self.seen.append(data)


def page_of(report: dict[str, Any]) -> str:
    return render(report, job_id="0199-1234", model_digest="ab" * 32)


@pytest.fixture(scope="module")
def page(classification: tuple[dict[str, Any], run.TrainingResult]) -> str:
    return page_of(classification[0])


def test_the_page_of_a_classification_shows_its_figures(
    page: str, classification: tuple[dict[str, Any], run.TrainingResult]
) -> None:
    report, _ = classification
    shown = Text(page)
    for _, value, baseline in figures(report["metrics"]) + trading(report["metrics"]["trading"]):
        assert value in shown.text
        assert baseline in shown.text
    for warning in report["warnings"]:
        assert warning in shown.text
    for said in ("0199-1234", "ab" * 32, "0" * 64, "AAA", "BBB", "oversold", "1h_rsi", "taken for sell"):
        assert said in shown.text
    assert shown.tags.count("svg") == 4 + 2  # equity, calibration, importance, losses; two fuzzy sets


def test_the_page_of_a_regression_has_no_classes(regression: tuple[dict[str, Any], run.TrainingResult]) -> None:
    report, _ = regression
    page = Text(page_of(report))
    assert "information coefficient" in page.text
    assert "Confusion" not in page.text
    assert "a round trip costs 0.10%" in page.text


def test_the_page_needs_nothing_from_elsewhere_and_no_script(page: str) -> None:
    shown = Text(page)
    assert not {"script", "link", "img", "iframe"} & set(shown.tags)
    leads = [value for name, value in shown.attributes if name in ("href", "src", "xlink:href")]
    assert all(value.startswith("#") for value in leads)
    assert not [name for name, _ in shown.attributes if name.startswith("on")]


def test_every_identifier_is_there_once_and_every_reference_finds_one(page: str) -> None:
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names)) > 10
    references = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)
    assert {one or other for one, other in references} <= set(names)


def test_whatever_a_user_named_is_escaped(classification: tuple[dict[str, Any], run.TrainingResult]) -> None:
    evil = "<script>alert('$x$ & \"y\"')</script>"
    report = json.loads(json.dumps(classification[0]).replace("oversold", "PLACE").replace("BBB", "PLACE"))
    report = json.loads(json.dumps(report).replace("1h_rsi", "PLACE").replace('"rsi_14"', '"PLACE"'))
    report = json.loads(json.dumps(report).replace("PLACE", json.dumps(evil)[1:-1]))
    report["strategy"] |= {"name": evil, "description": evil}
    report["warnings"] = [evil]
    source = page_of(report)
    assert "<script" not in source
    assert Text(source).text.count("<script>alert(") >= 7


def test_equal_reports_give_equal_pages(page: str, classification: tuple[dict[str, Any], run.TrainingResult]) -> None:
    assert page_of(classification[0]) == page


def test_a_page_is_made_without_torch_and_without_the_training(
    classification: tuple[dict[str, Any], run.TrainingResult], tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text(json.dumps(classification[0]))
    program = (
        "import sys, json, pathlib; from ktrdr.report import render;"
        "render(json.loads(pathlib.Path(sys.argv[1]).read_text()), job_id='x', model_digest='y');"
        "print([m for m in ('torch', 'pandas', 'ktrdr.training') if m in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "report.json")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"


def test_a_small_training_without_a_trade_has_a_page(tmp_path: Path) -> None:
    strategy = make_strategy(training=make_training(epochs=1))
    strategy = replace(strategy, decisions=replace(strategy.decisions, confidence_threshold=1.0))
    report, _ = trained(tmp_path / "model", strategy)
    assert report["metrics"]["trading"]["trades"] == 0
    assert "the decisions led to no trade" in Text(page_of(report)).text
