"""Explanations: contributions that sum to what they explain, memberships that fire, rules in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from training_examples import (
    CPU,
    Recorder,
    Token,
    make_specification,
    make_strategy,
    make_training,
    random_walk,
    reader,
)

from ktrdr.training import run
from ktrdr.training.attribution import integrated_gradients
from ktrdr.training.explain import explain
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.features import calculate_indicators
from ktrdr.training.models import LastHiddenState
from ktrdr.training.rules import rule_at, usual_rules
from ktrdr.training.saved_model import SavedModel, load
from ktrdr.training.strategy.model import Labels, Loss, Optimizer, Strategy
from ktrdr.training.strategy.names import FeatureColumn

FRAME = random_walk(500, seed=1)
EAGER = Optimizer(type="adam", learning_rate=0.01, weight_decay=0.0, momentum=0.0)


def trained(directory: Path, strategy: Strategy) -> SavedModel:
    run.train(
        make_specification(strategy),
        read_prices=reader({"AAA": FRAME}),
        output=directory,
        capabilities=CPU,
        progress_callback=Recorder(),
        cancellation_token=Token(),
    )
    return load(directory)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    strategy = make_strategy(training=make_training(epochs=8, optimizer=EAGER))
    features = replace(strategy.model.features, lookback_periods=1)
    strategy = replace(strategy, model=replace(strategy.model, features=features))
    return trained(tmp_path_factory.mktemp("explain") / "model", strategy)


def explained(model: SavedModel, *, at: pd.Timestamp | None = None, last: int = 50) -> dict[str, Any]:
    found = explain(model, {"1h": FRAME}, {}, at=at, last=last)
    return json.loads(json.dumps(found, allow_nan=False))


# --- integrated gradients ---


def test_of_a_linear_network_each_contribution_is_weight_times_distance() -> None:
    layer = nn.Linear(3, 2)
    inputs, baseline = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([0.5, 0.0, 4.0])
    found = integrated_gradients(layer, inputs, baseline)
    expected = layer.weight.detach().double() * (inputs - baseline).double()
    torch.testing.assert_close(found.contributions[0], expected, atol=1e-12, rtol=1e-9)


def test_a_product_is_shared_equally() -> None:
    class Product(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs.prod(dim=1, keepdim=True)

    found = integrated_gradients(Product(), torch.tensor([[3.0, 5.0]]), torch.zeros(2))
    assert found.contributions[0, 0].tolist() == pytest.approx([7.5, 7.5])


def test_they_agree_with_a_fine_sum_along_the_way() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 2))
    inputs, baseline = torch.randn(3, 4), torch.randn(4)
    found = integrated_gradients(network, inputs, baseline)
    network = network.double().eval()
    start, way = baseline.double(), (inputs - baseline).double()
    total = torch.zeros(3, 2, 4, dtype=torch.float64)
    for at in (torch.arange(2_000, dtype=torch.float64) + 0.5) / 2_000:
        hidden = nn.functional.linear(start + way * at, network[0].weight, network[0].bias) > 0
        total += torch.einsum("oh,sh,hf->sof", network[3].weight.detach(), hidden.double(), network[0].weight.detach())
    torch.testing.assert_close(found.contributions, total / 2_000 * way.unsqueeze(1), atol=5e-3, rtol=5e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([nn.ReLU, nn.GELU, nn.Sigmoid, nn.LeakyReLU]), st.floats(0.1, 30.0))
def test_contributions_sum_to_the_difference(seed: int, activation: type[nn.Module], spread: float) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(8, 16), activation(), nn.Linear(16, 8), activation(), nn.Linear(8, 3))
    found = integrated_gradients(network, torch.randn(4, 8) * spread, torch.randn(8))
    change = (found.outputs - found.baseline_outputs).abs().amax(dim=1, keepdim=True)
    rounding = 1e-11 * found.outputs.abs().amax()
    assert bool((found.residuals.abs() <= 1e-6 * change + rounding).all())


def test_outputs_that_hardly_differ_do_not_keep_it_busy_for_ever() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3))
    with torch.no_grad():
        network[2].bias += 1e6  # the change of an output is lost in its last digits
    baseline = torch.randn(8)
    found = integrated_gradients(network, baseline + 1e-4 * torch.randn(5, 8), baseline)
    assert float(found.residuals.abs().max()) < 1e-7


def test_windows_have_contributions_of_every_step() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(LastHiddenState(nn.LSTM(3, 8, 2, batch_first=True)), nn.Linear(8, 3))
    found = integrated_gradients(network, torch.randn(5, 7, 3), torch.randn(3))
    assert found.contributions.shape == (5, 3, 7, 3)
    assert float(found.residuals.abs().max()) < 1e-7


def test_an_input_that_is_the_baseline_explains_nothing() -> None:
    found = integrated_gradients(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.ones(1, 3), torch.ones(3))
    assert found.contributions.abs().sum() == 0.0


# --- one bar ---


def test_the_contributions_of_a_bar_sum_to_the_logit_difference(model: SavedModel) -> None:
    bar = explained(model)["bar"]
    contributions = [feature["contribution"] for one in bar["inputs"] for feature in one["features"]]
    assert len(contributions) == 12
    assert sum(contributions) == pytest.approx(bar["value"] - bar["value_at_mean_input"], rel=1e-6)
    assert abs(bar["residual"]) <= 1e-6 * abs(bar["explained"])
    for one in bar["inputs"]:
        assert one["contribution"] == pytest.approx(sum(feature["contribution"] for feature in one["features"]))
    sums = [abs(one["contribution"]) for one in bar["inputs"]]
    assert sums == sorted(sums, reverse=True)


def test_a_bar_is_explained_as_it_is_predicted(model: SavedModel) -> None:
    predicted = model.predict(FRAME)
    at = predicted.index[100]
    bar = explained(model, at=at)["bar"]
    assert bar["time"] == at.isoformat()
    assert bar["decision"] == predicted["decision"].loc[at]
    assert bar["probabilities"] == pytest.approx(predicted.loc[at, ["buy", "hold", "sell"]].to_dict(), abs=1e-6)
    ranked = sorted(bar["probabilities"], key=bar["probabilities"].get, reverse=True)
    assert [bar["answer"], bar["runner_up"]] == ranked[:2]
    odds = bar["probabilities"][ranked[0]] / bar["probabilities"][ranked[1]]
    assert bar["value"] == pytest.approx(np.log(odds), rel=1e-6)


def test_degrees_and_indicators_are_those_of_the_bar(model: SavedModel) -> None:
    at = FRAME.index[200]
    inputs = {one["input"]: one for one in explained(model, at=at)["bar"]["inputs"]}
    values = calculate_indicators(model.strategy, "1h", FRAME)
    rsi = inputs["1h_rsi"]
    assert rsi["indicator"] == "rsi_14"
    assert rsi["indicator_value"] == pytest.approx(values["rsi_14"][200])
    degrees = {(feature["membership"], feature["lag"]): feature["value"] for feature in rsi["features"]}
    for lag in (0, 1):
        distance = abs(values["rsi_14"][200 - lag] - 50)
        assert degrees["neutral", lag] == pytest.approx(max(1 - distance / 20, 0), abs=1e-5)
    assert all(feature["fires"] == (feature["value"] > 0.05) for feature in rsi["features"])
    assert not any(feature["fires"] for feature in inputs["1h_atr_14_raw"]["features"])
    assert inputs["1h_swing"]["indicator_value"] == pytest.approx(values["macd.histogram"][200])


def test_the_moment_between_two_bars_means_the_one_that_is_open(model: SavedModel) -> None:
    at = FRAME.index[200]
    assert explained(model, at=at + pd.Timedelta(minutes=59))["bar"]["time"] == at.isoformat()


def test_a_moment_before_the_first_prediction_is_an_error_that_says_when_that_is(model: SavedModel) -> None:
    with pytest.raises(InvalidInputError, match="2020-01-02 10:00:00"):
        explained(model, at=FRAME.index[5])


def test_a_rule_at_a_bar_holds_what_fired_and_agreed(model: SavedModel) -> None:
    bar = explained(model)["bar"]
    features = {feature["feature"]: feature for one in bar["inputs"] for feature in one["features"]}
    assert bar["rules"]
    for rule in bar["rules"]:
        sign = 1 if rule["answer"] == bar["answer"] else -1
        assert rule["answer"] in (bar["answer"], bar["runner_up"])
        for condition in rule["conditions"]:
            assert features[condition["feature"]]["fires"]
            assert condition["contribution"] == sign * features[condition["feature"]]["contribution"] > 0
        assert rule["strength"] == pytest.approx(sum(condition["contribution"] for condition in rule["conditions"]))
        assert rule["text"].startswith("IF ")
        assert f" THEN {rule['answer']} (+" in rule["text"]


def test_a_regression_explains_its_forecast(tmp_path: Path) -> None:
    training = make_training(
        labels=Labels(source="forward_return", params={"horizon": 5}),
        loss=Loss(type="huber", huber_delta=0.01),
        class_weights="none",
    )
    model = trained(tmp_path / "model", make_strategy(training=training))
    bar = explained(model)["bar"]
    predicted = model.predict(FRAME).iloc[-1]
    assert bar["forecast"] == pytest.approx(predicted["forecast"], rel=1e-4)
    assert bar["decision"] == predicted["decision"]
    contributions = [feature["contribution"] for one in bar["inputs"] for feature in one["features"]]
    assert sum(contributions) == pytest.approx(bar["forecast"] - bar["value_at_mean_input"], rel=1e-6)
    assert {rule["answer"] for rule in bar["rules"]} <= {"a higher forecast", "a lower forecast"}


# --- the model ---


def test_how_the_model_uses_its_memberships_over_many_bars(model: SavedModel) -> None:
    whole = explained(model, last=60)["model"]
    assert (whole["bars"], whole["last"]) == (60, FRAME.index[-1].isoformat())
    values = calculate_indicators(model.strategy, "1h", FRAME)["rsi_14"][-60:]
    neutral = next(one for one in whole["memberships"] if one["feature"] == "1h_rsi_neutral")
    assert neutral["fires"] == pytest.approx((1 - np.abs(values - 50) / 20 > 0.05).mean())
    for one in whole["memberships"]:
        known = [number for number in one["contributions"].values() if number is not None]
        assert sum(known) == pytest.approx(0.0, abs=1e-3)  # each is over the mean of all classes
    assert {rule["answer"] for rule in whole["rules"]} <= {"buy", "hold", "sell"}


def columns(*names: str) -> list[FeatureColumn]:
    return [
        FeatureColumn(
            name=f"1h_{of}_{membership}", timeframe="1h", kind="membership", of=of, membership=membership,
            normalization="none", input=0,
        )
        for of, membership in (name.split("-") for name in names)
    ]  # fmt: skip


def test_a_rule_in_words() -> None:
    known = columns("momentum-strong", "trend-present", "momentum-weak", "volume-low", "range-high")
    rule = rule_at(
        known, np.array([0.83, 0.61, 0.9, 0.01, 0.5]), np.array([0.8, 0.44, 0.3, 0.9, -0.5]), "buy", timeframes=1
    )
    assert rule is not None
    # What does not fire is no condition, and of each input only the strongest is.
    assert rule["text"] == "IF momentum is strong (0.83) AND trend is present (0.61) THEN buy (+1.24)"
    assert rule_at(known, np.zeros(5), np.ones(5), "buy", timeframes=1) is None


def test_a_rule_names_the_timeframe_where_there_are_several_and_how_long_ago() -> None:
    before = [replace(columns("momentum-strong")[0], lag=2)]
    rule = rule_at(before, np.array([1.0]), np.array([0.002]), "buy", timeframes=2)
    assert rule is not None
    assert rule["text"] == "IF momentum on 1h was strong 2 bars before (1.00) THEN buy (+0.002)"


def test_usual_rules_are_those_that_added_most() -> None:
    known = columns("a-x", "a-y", "b-x", "c-x")
    degrees = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [0, 1, 1, 1], [0, 1, 0, 1]], dtype=float)
    contributions = np.where(degrees > 0, [1.0, -1.0, 0.5, 0.4], 0.0)
    first, second = usual_rules(known, degrees, contributions, "buy", timeframes=1)
    assert first["text"] == "IF a is x AND b is x THEN buy (+1.50)"
    assert (first["strength"], first["support"]) == (1.5, 0.5)
    assert (second["text"], second["support"]) == ("IF c is x THEN buy (+0.40)", 0.5)
