"""Regimes: trending up, trending down, ranging, volatile."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from indicator_references import atr
from label_examples import REGIME, changing_volatility, from_closes, labelled, plain_pivots, real_prices
from training_examples import CPU, make_specification, make_strategy, make_training, random_walk, reader

from ktrdr.training.losses import balanced_class_weights
from ktrdr.training.pipeline import TrainingPipeline
from ktrdr.training.strategy.model import Labels


def plain_regime(frame: pd.DataFrame, fit_on: slice, p: dict[str, Any]) -> tuple[list[float], list[int]]:
    """Values and ends, leg by leg and bar by bar."""
    high, low, close = (frame[name].tolist() for name in ("high", "low", "close"))
    values, ends = [math.nan] * len(close), list(range(len(close)))
    ranges = [r for r in atr(high, low, close, p["atr_period"])[fit_on] if not math.isnan(r)]
    if not ranges or statistics.median(ranges) == 0:
        return values, ends
    width = statistics.median(ranges) / statistics.median(close[fit_on])
    macro, confirmed = plain_pivots(close, p["macro_atr_mult"] * width)
    micro, _ = plain_pivots(close, p["micro_atr_mult"] * width)
    far_end = list(ends)
    for (a, b), known in zip(pairwise(macro), confirmed[1:], strict=True):
        rises = close[b] > close[a]
        turns = [k for k in range(len(micro)) if a <= micro[k] < b]
        prices = [close[micro[k]] for k in turns if is_low(close, micro, k) == rises]
        steps = list(pairwise(prices))
        progress = sum(y > x if rises else y < x for x, y in steps)
        trends = bool(steps) and progress / len(steps) >= p["progression_tolerance"]
        for i in range(a, b + 1):
            values[i] = (0 if rises else 1) if trends else 2
            ends[i], far_end[i] = known, b
    returns = [math.nan] + [math.log(b / a) for a, b in pairwise(close)]
    for i in range(p["vol_lookback"], macro[-1] + 1 if len(macro) > 1 else 0):
        window = i + p["atr_period"]
        if window < len(close):
            before = statistics.stdev(returns[i - p["vol_lookback"] + 1 : i + 1])
            after = statistics.stdev(returns[i + 1 : window + 1])
            if after > p["vol_crisis_threshold"] * before:
                values[i], ends[i] = 3, far_end[i]
        ends[i] = max(ends[i], min(window, len(close) - 1))
    return values, ends


def is_low(close: list[float], pivots: list[int], k: int) -> bool:
    if k + 1 < len(pivots):
        return close[pivots[k + 1]] > close[pivots[k]]
    return close[pivots[k]] < close[pivots[k - 1]]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 350),
    macro=st.sampled_from([1.5, 3.0, 8.0]),
    micro=st.sampled_from([0.2, 1.0]),
    period=st.integers(2, 15),
    lookback=st.integers(2, 40),
    threshold=st.sampled_from([0.8, 1.3, 3.0]),
    tolerance=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
)
def test_regime_agrees_with_its_definition(
    *, seed: int, count: int, macro: float, micro: float, period: int, lookback: int, threshold: float, tolerance: float
) -> None:
    frame = random_walk(count, seed=seed)
    params = {
        "macro_atr_mult": macro,
        "micro_atr_mult": micro,
        "atr_period": period,
        "vol_lookback": lookback,
        "vol_crisis_threshold": threshold,
        "progression_tolerance": tolerance,
    }
    fit_on = slice(count // 10, count // 2)
    values, ends = plain_regime(frame, fit_on, params)
    labels = labelled(frame, "regime", fit_on, **params)
    np.testing.assert_array_equal(labels.values, values)
    assert labels.ends.tolist() == ends


@pytest.mark.parametrize("symbol", ["AAPL", "FB"])
def test_regime_agrees_with_its_definition_on_real_prices(symbol: str) -> None:
    frame = real_prices(symbol)
    fit_on = slice(0, int(0.7 * len(frame)))
    params = REGIME | {"micro_atr_mult": 0.5, "progression_tolerance": 0.3}
    values = labelled(frame, "regime", fit_on, **params).values
    np.testing.assert_array_equal(values, plain_regime(frame, fit_on, params)[0])
    assert len(set(values[~np.isnan(values)])) >= 3


def zigzagging(*corners: float, steps: int = 5) -> pd.DataFrame:
    """Straight lines from corner to corner, with bars 1 wide."""
    closes = [corners[0]]
    for a, b in pairwise(corners):
        closes += [a + (b - a) * i / steps for i in range(1, steps + 1)]
    frame = from_closes(*closes)
    frame["high"] += 0.5
    frame["low"] -= 0.5
    return frame


CALM = REGIME | {"vol_crisis_threshold": 1000.0}


def test_a_leg_of_rising_lows_is_up_and_one_of_falling_highs_down() -> None:
    frame = zigzagging(100, 104, 102, 107, 105, 111, 108, 114, 108, 110, 104, 107, 100, 102, 98, 105)
    values = labelled(frame, "regime", **CALM).values
    assert set(values[:35]) == {0}
    assert set(values[35:70]) == {1}


def test_a_leg_without_a_step_from_low_to_low_ranges() -> None:
    values = labelled(zigzagging(100, 110, 100, 110, 100), "regime", **CALM).values
    assert set(values) == {2}


@pytest.mark.parametrize(("tolerance", "kind"), [(0.0, 0), (0.66, 0), (0.67, 2), (1.0, 2)])
def test_the_tolerance_is_the_least_share_of_steps_that_go_with_the_leg(tolerance: float, kind: int) -> None:
    # The lows 100, 103, 102, 105 of the first leg: two of three steps rise.
    frame = zigzagging(100, 105, 103, 105, 102, 108, 105, 113, 90)
    values = labelled(frame, "regime", slice(0, 35), **(CALM | {"progression_tolerance": tolerance})).values
    assert set(values[:35]) == {kind}


def test_a_bar_before_an_outbreak_of_volatility_is_volatile() -> None:
    frame = changing_volatility((150, 0.002), (150, 0.02))
    values = labelled(frame, "regime", slice(0, 150), **(REGIME | {"vol_crisis_threshold": 3.0})).values
    assert set(values[146:152]) == {3}
    assert (values[20:140] != 3).all()


def test_a_steady_trend_is_not_volatile_however_long_the_series() -> None:
    """Its returns are all alike, and what is left of their deviation is rounding."""
    close = 100.0 * 1.001 ** np.arange(5000)
    close[4000:] = close[4000] * 1.004 ** -np.arange(1000.0)
    values = labelled(from_closes(*close), "regime", **REGIME).values
    assert (values != 3).sum() > 4950


def test_bars_after_the_last_extreme_have_no_label() -> None:
    frame = random_walk(500, seed=3)
    values = labelled(frame, "regime", **REGIME).values
    width = _width(frame, slice(0, 350))
    last = plain_pivots(frame["close"].tolist(), REGIME["macro_atr_mult"] * width)[0][-1]
    assert not np.isnan(values[: last + 1]).any()
    assert np.isnan(values[last + 1 :]).all()
    assert last < 499


def _width(frame: pd.DataFrame, fit_on: slice) -> float:
    ranges = atr(frame["high"].tolist(), frame["low"].tolist(), frame["close"].tolist(), REGIME["atr_period"])[fit_on]
    return statistics.median([r for r in ranges if not math.isnan(r)]) / frame["close"].iloc[fit_on].median()


def test_prices_that_never_swing_have_no_regime() -> None:
    assert np.isnan(labelled(from_closes(*[100.0] * 200), "regime", **REGIME).values).all()


def test_a_class_that_is_absent_in_the_train_part_is_no_obstacle() -> None:
    """A known fault: the original crashes."""
    frame = changing_volatility((1200, 0.002), (300, 0.02))
    params = REGIME | {"vol_crisis_threshold": 4.0}
    training = make_training(labels=Labels(source="regime", params=params))
    pipeline = TrainingPipeline(make_specification(make_strategy(training=training)), CPU)
    prices = pipeline.load_price_data(reader({"AAA": frame}))
    indicators = pipeline.calculate_indicators(prices)
    memberships = pipeline.generate_fuzzy_memberships(indicators)
    features = pipeline.engineer_features(prices, indicators, memberships)
    dataset = pipeline.split_data(pipeline.combine_multi_symbol_data(features, pipeline.generate_labels(prices)))
    assert 3 not in dataset.train.targets
    assert 3 in dataset.validation.targets
    assert balanced_class_weights(dataset.train.targets, 4)[3] == 0
    assert dataset.classes == ("up", "down", "ranging", "volatile")
