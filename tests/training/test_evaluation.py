from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from evaluation_examples import CLASSES, linear, made, make_dataset, make_part
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from training_examples import make_strategy, make_training

from ktrdr.training.evaluation import classification_metrics, evaluate, regression_metrics, warnings
from ktrdr.training.evaluation.calibration import expected_calibration_error, reliability
from ktrdr.training.evaluation.metrics import log_loss, rank_correlation
from ktrdr.training.losses import sample_losses
from ktrdr.training.progress import EpochFinished
from ktrdr.training.strategy.model import Labels, Loss

STRATEGY = make_strategy()
REGRESSION = make_strategy(training=make_training(labels=Labels(source="forward_return", params={"horizon": 5})))
CROSS_ENTROPY = sample_losses(Loss(type="cross_entropy"), None)
#: Answers with the first three of the six features.
FIRST_THREE = linear([[1.0, 0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0, 0], [0, 0, 1.0, 0, 0, 0]])


def one_hot(*numbers: int, size: float = 10.0) -> torch.Tensor:
    return torch.eye(6)[list(numbers)] * size


# --- metrics ---


def test_metrics_of_a_classification_agree_with_a_count_by_hand() -> None:
    actual, chosen = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    metrics = classification_metrics(actual, chosen, CLASSES, usual=1)
    assert metrics["confusion_matrix"] == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert metrics["accuracy"] == 3 / 6
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert metrics["no_skill_accuracy"] == 2 / 6
    assert metrics["no_skill_balanced_accuracy"] == pytest.approx(1 / 3)
    assert metrics["classes"] == {
        "buy": {"samples": 3, "precision": 0.5, "recall": pytest.approx(2 / 3), "f1": pytest.approx(4 / 7)},
        "hold": {"samples": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        "sell": {"samples": 1, "precision": None, "recall": 0.0, "f1": 0.0},
    }


def test_a_class_that_does_not_occur_counts_for_nothing() -> None:
    metrics = classification_metrics(np.array([0, 0]), np.array([0, 0]), CLASSES, usual=0)
    assert (metrics["balanced_accuracy"], metrics["no_skill_balanced_accuracy"]) == (1.0, 1.0)
    assert metrics["classes"]["sell"] == {"samples": 0, "precision": None, "recall": None, "f1": None}


def test_metrics_of_a_regression_agree_with_a_count_by_hand() -> None:
    metrics = regression_metrics(np.array([1.0, -1.0, 0.0, 2.0]), np.array([2.0, 1.0, 5.0, 2.0]), usual=0.5)
    assert metrics["mae"] == (1 + 2 + 5 + 0) / 4
    assert metrics["rmse"] == math.sqrt((1 + 4 + 25) / 4)
    assert metrics["r2"] == pytest.approx(1 - 30 / 5)
    assert metrics["sign_accuracy"] == pytest.approx(2 / 3)
    assert metrics["no_skill_mae"] == (0.5 + 1.5 + 0.5 + 1.5) / 4
    assert metrics["no_skill_rmse"] == math.sqrt((0.25 + 2.25 + 0.25 + 2.25) / 4)
    assert metrics["no_skill_sign_accuracy"] == pytest.approx(2 / 3)


def test_a_metric_that_is_not_defined_is_null() -> None:
    metrics = regression_metrics(np.zeros(3), np.ones(3), usual=0.0)
    assert [metrics[name] for name in ("r2", "sign_accuracy", "information_coefficient")] == [None, None, None]
    assert log_loss(np.array([0.0, -np.inf]), np.array([0, 1])) is None


def test_the_log_loss_is_the_mean_of_minus_log_p_of_the_right_class() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    assert log_loss(np.log(probabilities), np.array([1, 1])) == pytest.approx(-(math.log(0.25) + math.log(0.8)) / 2)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_the_rank_correlation_is_that_of_mean_ranks(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(values, dtype=float) for values in zip(*pairs, strict=True))

    def rank(values: np.ndarray, value: float) -> float:
        return float((values < value).sum() + ((values == value).sum() + 1) / 2)

    ranks = np.array([[rank(values, value) for value in values] for values in (one, other)])
    found = rank_correlation(one, other)
    if (ranks.std(axis=1) == 0).any():
        assert found is None
    else:
        assert found == pytest.approx(np.corrcoef(ranks)[0, 1], abs=1e-12)


# --- calibration ---


def test_the_calibration_error_agrees_with_a_count_by_hand() -> None:
    bins = reliability(np.array([0.95, 0.91, 0.55, 0.6]), np.array([True, False, True, False]))
    assert [one["samples"] for one in bins] == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]  # 0.6 is the upper end of its bin.
    assert (bins[9]["confidence"], bins[9]["accuracy"]) == (pytest.approx(0.93), 0.5)
    assert (bins[0]["confidence"], bins[0]["accuracy"]) == (None, None)
    assert expected_calibration_error(bins) == pytest.approx((2 * 0.43 + 2 * 0.075) / 4)


def test_probabilities_that_come_true_have_no_calibration_error() -> None:
    random = np.random.default_rng(0)
    confidences = random.uniform(1 / 3, 1, 200_000)
    bins = reliability(confidences, random.random(200_000) < confidences)
    assert expected_calibration_error(bins) < 0.005
    assert all(one["samples"] == 0 for one in bins[:3])


# --- the whole ---


def test_the_test_part_is_measured_overall_and_per_symbol() -> None:
    test = make_part(one_hot(0, 1, 2, 0), torch.tensor([0, 1, 0, 0]), A=slice(0, 2), B=slice(2, 4), C=slice(4, 4))
    train = make_part(one_hot(0, 1, 2), torch.tensor([0, 0, 1]))
    dataset = make_dataset(STRATEGY, train, test)
    found = evaluate(made(FIRST_THREE), dataset, CROSS_ENTROPY, strategy=STRATEGY, seed=0)
    assert found.metrics["accuracy"] == 0.75
    assert {symbol: metrics["accuracy"] for symbol, metrics in found.per_symbol.items()} == {"A": 1.0, "B": 0.5}
    assert found.metrics["samples"] == 4
    losses = [found.per_symbol[symbol]["loss"] for symbol in "AB"]
    assert found.metrics["loss"] == pytest.approx(sum(losses) / 2) == pytest.approx(found.metrics["log_loss"])
    expected = -(3 * math.log(2 / 3) + math.log(1 / 3)) / 4
    assert found.metrics["no_skill_log_loss"] == pytest.approx(expected)
    json.dumps([found.metrics, found.per_symbol, found.reliability, found.equity, found.importance], allow_nan=False)


def test_a_class_that_the_train_part_lacks_leaves_the_log_loss_without_skill_open() -> None:
    test = make_part(one_hot(0, 2), torch.tensor([0, 2]))
    train = make_part(one_hot(0, 1), torch.tensor([0, 1]))
    found = evaluate(made(FIRST_THREE), make_dataset(STRATEGY, train, test), CROSS_ENTROPY, strategy=STRATEGY, seed=0)
    assert found.metrics["no_skill_log_loss"] is None
    json.dumps(found.metrics, allow_nan=False)


def test_dropout_is_off_while_a_model_is_measured() -> None:
    part = make_part(torch.ones(50, 6), torch.full((50,), 6.0))
    network = nn.Sequential(nn.Dropout(0.9), linear([[1.0] * 6]))
    losses = sample_losses(Loss(type="mse"), None)
    found = evaluate(made(network), make_dataset(REGRESSION, part, part, ()), losses, strategy=REGRESSION, seed=0)
    assert found.metrics["loss"] == 0.0
    assert found.reliability == []


def test_the_metrics_of_many_inputs_stay_small_and_the_report_has_all() -> None:
    features = replace(STRATEGY.model.features, lookback_periods=0, include_price_context=True)
    strategy = replace(STRATEGY, model=replace(STRATEGY.model, features=features))
    part = make_part(torch.rand(30, 9), torch.arange(30) % 3)
    network = linear([[1.0] * 9, [0.0] * 9, [0.5] * 9])
    found = evaluate(made(network), make_dataset(strategy, part, part), CROSS_ENTROPY, strategy=strategy, seed=0)
    assert len(found.importance) == 3 + 3
    assert len(json.dumps(found.metrics)) < 6_000


# --- warnings ---


def classified(confusion: list[list[int]]) -> dict[str, object]:
    pairs = [(i, j) for i, row in enumerate(confusion) for j, count in enumerate(row) for _ in range(count)]
    actual, chosen = np.array(pairs).T
    return {**classification_metrics(actual, chosen, CLASSES, usual=0), "expected_calibration_error": 0.02}


def test_a_result_without_skill_is_said_with_its_numbers() -> None:
    metrics = classified([[50, 10, 0], [20, 10, 0], [10, 0, 0]])
    assert list(warnings.of_classification(metrics, "buy")) == [
        "the accuracy of 60.0% is not above the 60.0% of always answering 'buy' by more than its standard error of 4.9%"
    ]
    always = classified([[60, 0, 0], [30, 0, 0], [10, 0, 0]])
    assert "the balanced accuracy of 33.3% is not above" in list(warnings.of_classification(always, "buy"))[1]


def test_a_good_result_is_not_warned_about() -> None:
    assert list(warnings.of_classification(classified([[50, 5, 5], [2, 26, 2], [0, 1, 9]]), "buy")) == []


def test_probabilities_that_are_none_are_said() -> None:
    metrics = classified([[50, 5, 5], [2, 26, 2], [0, 1, 9]]) | {"expected_calibration_error": 0.2}
    assert "off by 20.0% on average" in "".join(warnings.of_classification(metrics, "buy"))


@pytest.mark.parametrize(("count", "total", "is_rare"), [(19, 100, True), (20, 100, False), (199, 10_000, True)])
def test_a_class_that_is_nearly_absent_is_said(count: int, total: int, is_rare: bool) -> None:
    said = list(warnings.of_classes({"train": {"buy": total - count, "sell": count}}))
    expected = f"the class 'sell' is nearly absent from the train part: {count} of {total} samples"
    assert said == ([expected] if is_rare else [])


def test_forecasts_no_better_than_the_mean_are_said() -> None:
    random = np.random.default_rng(0)
    actual = random.normal(size=500)
    assert "is not below the" in "".join(warnings.of_regression(actual, random.normal(size=500), 0.0))
    assert list(warnings.of_regression(actual, actual * 0.5, 0.0)) == []


def test_a_rank_correlation_that_may_be_chance_is_said() -> None:
    assert "not above the 0.050" in "".join(
        warnings.of_rank_correlation({"information_coefficient": 0.049, "samples": 401})
    )
    assert list(warnings.of_rank_correlation({"information_coefficient": 0.2, "samples": 401})) == []
    assert "same number" in "".join(warnings.of_rank_correlation({"information_coefficient": None, "samples": 401}))


def test_a_model_that_knows_the_train_part_by_heart_is_said() -> None:
    history = EpochFinished(
        epoch=1, epochs=1, train_loss=0.1, validation_loss=0.9, train_accuracy=0.95, validation_accuracy=0.5,
        learning_rate=0.1, seconds=1.0, weights_digest="", tensors="",
    )  # fmt: skip
    part = make_part(one_hot(0, 1, 2), torch.tensor([0, 1, 2]))
    trained = replace(made(FIRST_THREE), history=(history,))
    found = evaluate(trained, make_dataset(STRATEGY, part, part), CROSS_ENTROPY, strategy=STRATEGY, seed=0)
    said = found.metrics["warnings"]
    assert "the test part has only 3 samples, so every figure here is rough" in said
    assert any(one.startswith("the accuracy falls from 95.0% on the train part to 50.0%") for one in said)
    assert not any("the loss rises" in one for one in said)
    losses = {"train": {"loss": 0.1, "accuracy": None}, "validation": {"loss": 0.9, "accuracy": None}}
    assert "the loss rises from 0.1" in "".join(warnings.of_gap(losses["train"], losses["validation"]))
