from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from ktrdr.training.dataset import Dataset, Part
from ktrdr.training.evaluation import classification_metrics, evaluate, regression_metrics
from ktrdr.training.losses import sample_losses
from ktrdr.training.strategy.model import Loss

CLASSES = ("buy", "hold", "sell")
TIME = pd.Timestamp("2020-01-01", tz="UTC")


def make_part(features: torch.Tensor, targets: torch.Tensor, **symbols: slice) -> Part:
    return Part(features, targets, None, symbols or {"A": slice(0, len(targets))}, TIME, TIME)


def make_dataset(train: Part, test: Part, classes: tuple[str, ...] = CLASSES) -> Dataset:
    return Dataset(train, train, test, ("x",) * test.features.shape[1], (), classes, 0)


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
    assert (metrics["r2"], metrics["sign_accuracy"]) == (None, None)


def test_the_test_part_is_measured_overall_and_per_symbol() -> None:
    features = torch.eye(3)[[0, 1, 2, 0]] * 10
    test = make_part(features, torch.tensor([0, 1, 0, 0]), A=slice(0, 2), B=slice(2, 4), C=slice(4, 4))
    train = make_part(torch.eye(3), torch.tensor([0, 0, 1]))
    evaluation = evaluate(nn.Identity(), make_dataset(train, test), sample_losses(Loss(type="cross_entropy"), None))
    assert evaluation.metrics["accuracy"] == 0.75
    assert {symbol: metrics["accuracy"] for symbol, metrics in evaluation.per_symbol.items()} == {"A": 1.0, "B": 0.5}
    assert evaluation.metrics["samples"] == 4
    losses = [evaluation.per_symbol[symbol]["loss"] for symbol in "AB"]
    assert evaluation.metrics["loss"] == pytest.approx(sum(losses) / 2)
    json.dumps([evaluation.metrics, evaluation.per_symbol], allow_nan=False)


def test_dropout_is_off_while_a_model_is_measured() -> None:
    part = make_part(torch.ones(50, 1), torch.ones(50))
    network = nn.Sequential(nn.Dropout(0.9))
    evaluation = evaluate(network, make_dataset(part, part, ()), sample_losses(Loss(type="mse"), None))
    assert evaluation.metrics["loss"] == 0.0
