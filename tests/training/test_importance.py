from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from evaluation_examples import linear, made, make_dataset, make_part
from training_examples import make_strategy

from ktrdr.training.evaluation import Evaluation, evaluate
from ktrdr.training.evaluation.importance import (
    MOST_SAMPLES,
    by_input,
    choose_samples,
    most_samples,
    permutation_importance,
)
from ktrdr.training.losses import sample_losses
from ktrdr.training.strategy.model import Loss
from ktrdr.training.strategy.names import feature_columns
from ktrdr.training.windows import Windows

STRATEGY = make_strategy()


def evaluation(*, seed: int = 0) -> Evaluation:
    """A model that reads the first three features only, the memberships of rsi, and is always right."""
    targets = torch.arange(300) % 3
    features = torch.cat([torch.eye(3)[targets] * 10, torch.rand(300, 3)], dim=1)
    part = make_part(features, targets)
    network = linear([[1.0, 0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0, 0], [0, 0, 1.0, 0, 0, 0]])
    losses = sample_losses(Loss(type="cross_entropy"), None)
    return evaluate(made(network), make_dataset(STRATEGY, part, part), losses, strategy=STRATEGY, seed=seed)


def test_the_input_that_decides_is_the_important_one_and_the_others_are_none() -> None:
    first, *others = evaluation().importance
    assert (first["input"], first["features"]) == ("1h_rsi", 3)
    # Dealt out at random, the memberships are right in a third of the cases.
    assert first["score_drop"] == pytest.approx(2 / 3, abs=0.1)
    assert 0.0 < first["deviation"] < 0.1
    assert {one["input"]: one["score_drop"] for one in others} == {"1h_atr_14_raw": 0.0, "1h_swing": 0.0}


def test_it_is_a_function_of_the_seed() -> None:
    assert evaluation(seed=5).importance == evaluation(seed=5).importance != evaluation(seed=6).importance
    json.dumps(evaluation().importance, allow_nan=False)


def test_lags_belong_to_their_input() -> None:
    features = replace(STRATEGY.model.features, lookback_periods=2, include_price_context=True)
    strategy = replace(STRATEGY, model=replace(STRATEGY.model, features=features))
    places = by_input(feature_columns(strategy))
    assert list(places) == ["1h_rsi", "1h_atr_14_raw", "1h_swing", "1h_return", "1h_range", "1h_volume_ratio"]
    assert places["1h_rsi"] == [0, 1, 2, 9, 10, 11, 18, 19, 20]
    assert sorted(place for of in places.values() for place in of) == list(range(27))


def test_values_are_exchanged_within_a_symbol_only_and_the_inputs_come_back() -> None:
    inputs = torch.arange(8.0).reshape(4, 2)
    before = inputs.clone()
    seen: list[torch.Tensor] = []

    def score(permuted: torch.Tensor) -> float:
        seen.append(permuted.clone())
        return 0.0

    permutation_importance(inputs, {"x": [0]}, [slice(0, 2), slice(2, 4)], score, seed=0)
    assert torch.equal(inputs, before)
    for permuted in seen:
        assert torch.equal(permuted[:, 1], before[:, 1])
        assert permuted[:2, 0].sort().values.tolist() == [0.0, 2.0]
        assert permuted[2:, 0].sort().values.tolist() == [4.0, 6.0]
    assert any(not torch.equal(permuted, before) for permuted in seen)


def test_of_a_large_part_a_random_choice_is_looked_at() -> None:
    chosen = choose_samples(100_000, MOST_SAMPLES, seed=3)
    assert len(set(chosen.tolist())) == MOST_SAMPLES
    assert (np.diff(chosen) > 0).all()
    assert chosen.tolist() == choose_samples(100_000, MOST_SAMPLES, seed=3).tolist()
    assert choose_samples(10, MOST_SAMPLES, seed=3).tolist() == list(range(10))


def test_of_windows_fewer_are_looked_at() -> None:
    windows = Windows(torch.zeros(100, 2), torch.arange(49, 100), 50)
    assert most_samples(windows) == 1_000
    assert most_samples(torch.zeros(5, 2)) == MOST_SAMPLES
