from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_examples import SOURCES, from_closes, labelled, plain_pivots, real_prices
from training_examples import TRIPLE_BARRIER, random_walk

from ktrdr.training.labels import barriers
from ktrdr.training.labels.barriers import uniqueness
from ktrdr.training.swings import pivots_of

# --- zigzag ---


def plain_zigzag(close: list[float], threshold: float) -> list[int]:
    pivots, _ = plain_pivots(close, threshold)
    labels = [1] * len(close)
    for a, b in pairwise(pivots):
        for i in range(a + 1, b):
            labels[i] = 0 if close[b] > close[a] else 2
    return labels


def test_zigzag_labels_the_legs_and_holds_on_pivots_and_after_the_last() -> None:
    labels = labelled(from_closes(100, 101, 105, 103, 100, 101, 110, 109.9), "zigzag", zigzag_threshold=0.02)
    assert labels.values.tolist() == [1, 0, 1, 2, 1, 0, 1, 1]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 400),
    threshold=st.sampled_from([0.0005, 0.005, 0.02, 0.1, 0.9]),
    digits=st.sampled_from([0, 1, 10]),
)
def test_zigzag_agrees_with_its_definition(seed: int, count: int, threshold: float, digits: int) -> None:
    """Rounded closes bring many equal neighbours."""
    frame = random_walk(count, seed=seed)
    frame["close"] = frame["close"].round(digits).clip(lower=1.0)
    close = frame["close"].tolist()
    pivots, confirmed = pivots_of(np.array(close), threshold)
    assert (pivots.tolist(), confirmed.tolist()) == plain_pivots(close, threshold)
    assert labelled(frame, "zigzag", zigzag_threshold=threshold).values.tolist() == plain_zigzag(close, threshold)


@pytest.mark.parametrize("threshold", [0.002, 0.02, 0.2])
def test_zigzag_agrees_with_its_definition_on_real_prices(threshold: float) -> None:
    close = real_prices()["close"].to_numpy(float)
    pivots, confirmed = pivots_of(close, threshold)
    assert (pivots.tolist(), confirmed.tolist()) == plain_pivots(close.tolist(), threshold)


@pytest.mark.parametrize(
    "close",
    [
        [100.0],
        [100.0] * 9,
        [100.0, 1e6],
        [1e6, 100.0, 100.0],
        [100.0, 100.0, 101.0, 101.0],
        [100.0, 101.0, 101.0, 100.0, 100.0, 101.0],
        [100.0, 1e6, 100.0, 1e6, 1e6, 1e-6, 50.0],
        [100.0 + 0.1 * (i % 2) - 0.01 * i for i in range(3000)],
        [100.0 + i for i in range(3000)],
    ],
    ids=["one bar", "flat", "jump", "fall", "rise with plateaus", "plateaus", "huge jumps", "sawtooth", "one way"],
)
@pytest.mark.parametrize("threshold", [0.0005, 0.005, 0.05, 0.9])
def test_zigzag_agrees_with_its_definition_on_strange_prices(close: list[float], threshold: float) -> None:
    pivots, confirmed = pivots_of(np.array(close), threshold)
    assert (pivots.tolist(), confirmed.tolist()) == plain_pivots(close, threshold)


def test_zigzag_without_a_swing_holds_throughout() -> None:
    labels = labelled(from_closes(100, 100.5, 99.5, 100), "zigzag", zigzag_threshold=0.02)
    assert labels.values.tolist() == [1, 1, 1, 1]


# --- every source ---


@pytest.mark.parametrize("count", [0, 1, 2, 4])
@pytest.mark.parametrize(("source", "params"), SOURCES)
def test_hardly_any_bars_can_be_labelled(source: str, params: dict[str, Any], count: int) -> None:
    """Fewer than any horizon, and than any estimate takes."""
    labels = labelled(random_walk(count), source, **params)
    assert labels.values.shape == labels.ends.shape == (count,)
    if source != "zigzag":
        assert np.isnan(labels.values).all()


@pytest.mark.parametrize(("source", "params"), SOURCES)
def test_flat_prices_can_be_labelled(source: str, params: dict[str, Any]) -> None:
    labels = labelled(from_closes(*[100.0] * 60), source, **params)
    assert len(set(labels.values[~np.isnan(labels.values)])) <= 1


@pytest.mark.parametrize(("source", "params"), SOURCES)
def test_huge_jumps_can_be_labelled(source: str, params: dict[str, Any]) -> None:
    """From a millionth to a million and back, without a warning or a label that is none."""
    labels = labelled(from_closes(*[10.0 ** (6 * (-1) ** (i // 3)) for i in range(90)]), source, **params)
    assert not np.isinf(labels.values).any()
    assert not np.isnan(labels.values).all()


# --- forward return ---


def test_forward_return_is_the_return_over_the_horizon() -> None:
    labels = labelled(from_closes(100, 110, 121, 60.5), "forward_return", horizon=2)
    np.testing.assert_allclose(labels.values, [0.21, -0.45, np.nan, np.nan])
    assert labels.ends.tolist() == [2, 3, 2, 3]


# --- context ---


def test_context_compares_the_forward_return_with_the_two_thresholds() -> None:
    frame = from_closes(100, 100.5, 100.502, 100, 99.5, 99.4, 99.4)
    params = {"horizon": 1, "bullish_threshold": 0.004, "bearish_threshold": -0.003}
    labels = labelled(frame, "context", **params)
    np.testing.assert_array_equal(labels.values, [0, 2, 1, 1, 2, 2, np.nan])
    assert labels.ends.tolist() == [1, 2, 3, 4, 5, 6, 6]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 120),
    horizon=st.integers(1, 30),
    thresholds=st.tuples(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05)).map(sorted).filter(lambda t: t[0] < t[1]),
)
def test_context_agrees_with_its_definition(seed: int, count: int, horizon: int, thresholds: list[float]) -> None:
    frame = random_walk(count, seed=seed)
    bearish, bullish = thresholds
    close, expected = frame["close"].tolist(), [math.nan] * count
    for i in range(count - horizon):
        change = close[i + horizon] / close[i] - 1
        expected[i] = 0 if change > bullish else 1 if change < bearish else 2
    params = {"horizon": horizon, "bullish_threshold": bullish, "bearish_threshold": bearish}
    np.testing.assert_array_equal(labelled(frame, "context", **params).values, expected)


# --- triple barrier ---


def plain_volatility(frame: pd.DataFrame, span: int, method: str) -> list[float]:
    """Exponential weights over all bars so far, newest first; for closes the unbiased weighted deviation."""
    alpha = 2.0 / (span + 1)
    if method == "atr":
        values = ((frame["high"] - frame["low"]) / frame["close"]).tolist()
    else:
        closes = frame["close"].tolist()
        values = [math.nan] + [math.log(b / a) for a, b in pairwise(closes)]
    result = []
    for end in range(1, len(values) + 1):
        known = [(v, (1 - alpha) ** age) for age, v in enumerate(reversed(values[:end])) if not math.isnan(v)]
        total = math.fsum(w for _, w in known)
        mean = math.fsum(v * w for v, w in known) / total if known else math.nan
        if method == "atr":
            result.append(mean)
            continue
        biased = math.fsum(w * (v - mean) ** 2 for v, w in known) / total if known else math.nan
        correction = total**2 - math.fsum(w**2 for _, w in known)
        result.append(math.sqrt(biased * total**2 / correction) if len(known) > 1 else math.nan)
    return result


def plain_triple_barrier(frame: pd.DataFrame, p: dict[str, Any]) -> tuple[list[float], list[int]]:
    high, low, close = (frame[name].tolist() for name in ("high", "low", "close"))
    volatility = plain_volatility(frame, p["vol_span"], p["vol_method"])
    horizon = p["max_holding_period"]
    values, ends = [math.nan] * len(close), list(range(len(close)))
    for i in range(len(close) - horizon):
        v = volatility[i]
        if math.isnan(v):
            continue
        upper, lower = close[i] * (1 + p["pt_multiplier"] * v), close[i] * (1 - p["sl_multiplier"] * v)
        direction = None
        for j in range(i + 1, i + horizon + 1):
            ends[i] = j
            if high[j] >= upper and low[j] <= lower:
                direction = (close[j] > close[i]) - (close[j] < close[i])
            elif high[j] >= upper:
                direction = 1
            elif low[j] <= lower:
                direction = -1
            if direction is not None:
                break
        else:
            change = close[i + horizon] / close[i] - 1
            small = abs(change) < v * math.sqrt(horizon) / 2
            direction = 0 if small else (change > 0) - (change < 0)
        values[i] = 1 - direction
    return values, ends


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 150),
    horizon=st.integers(1, 40),
    profit=st.sampled_from([0.2, 1.0, 2.0, 8.0]),
    loss=st.sampled_from([0.2, 1.5, 8.0, 500.0]),
    method=st.sampled_from(["atr", "close"]),
)
def test_triple_barrier_agrees_with_its_definition(
    *, seed: int, count: int, horizon: int, profit: float, loss: float, method: str
) -> None:
    frame = random_walk(count, seed=seed)
    params = {
        **TRIPLE_BARRIER,
        "pt_multiplier": profit,
        "sl_multiplier": loss,
        "max_holding_period": horizon,
        "vol_method": method,
    }
    labels = labelled(frame, "triple_barrier", **params)
    values, ends = plain_triple_barrier(frame, params)
    np.testing.assert_array_equal(labels.values, values)
    assert labels.ends.tolist() == ends


def test_triple_barrier_agrees_with_its_definition_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barriers, "_BLOCK", 37)
    frame = random_walk(200)
    labels = labelled(frame, "triple_barrier", **TRIPLE_BARRIER)
    np.testing.assert_array_equal(labels.values, plain_triple_barrier(frame, TRIPLE_BARRIER)[0])


def test_a_flat_series_is_held() -> None:
    labels = labelled(from_closes(*[100.0] * 30), "triple_barrier", **TRIPLE_BARRIER)
    assert set(labels.values[:20]) == {1.0}


def test_every_outcome_of_the_triple_barrier_occurs() -> None:
    values = labelled(random_walk(2000), "triple_barrier", **TRIPLE_BARRIER).values
    assert set(values[~np.isnan(values)]) == {0.0, 1.0, 2.0}


def test_a_weight_is_the_mean_of_1_over_the_concurrency_of_its_span() -> None:
    # Labels at 0 (bars 0-2), 1 (bars 1-1) and 4 (bars 4-5): bar 1 is held by two of them.
    values = np.array([0.0, 1.0, np.nan, np.nan, 2.0, np.nan])
    ends = np.array([2, 1, 2, 3, 5, 5])
    np.testing.assert_allclose(uniqueness(values, ends), [(1 + 0.5 + 1) / 3, 0.5, 0, 0, 1, 0])


def test_weights_agree_with_their_definition() -> None:
    frame = random_walk(120)
    labels = labelled(frame, "triple_barrier", **(TRIPLE_BARRIER | {"compute_weights": True}))
    spans = [range(i, labels.ends[i] + 1) for i in range(120) if not np.isnan(labels.values[i])]
    concurrency = [sum(bar in span for span in spans) for bar in range(120)]
    expected = [sum(1 / concurrency[bar] for bar in span) / len(span) for span in spans]
    assert labels.weights is not None
    np.testing.assert_allclose(labels.weights[~np.isnan(labels.values)], expected)
