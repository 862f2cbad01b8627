from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_examples import make_strategy, random_walk

from ktrdr.training.features import calculate_indicators, feature_columns, features_of
from ktrdr.training.normalization import Scaling, fit
from ktrdr.training.strategy.model import Input

STRATEGY = make_strategy()


def test_features_have_the_names_and_the_order_of_the_inputs() -> None:
    assert [column.name for column in feature_columns(STRATEGY)] == [
        "1h_rsi_oversold",
        "1h_rsi_neutral",
        "1h_rsi_above",
        "1h_atr_14_raw",
        "1h_swing_down",
        "1h_swing_up",
    ]


def test_only_raw_inputs_are_normalised() -> None:
    methods = [column.normalization for column in feature_columns(STRATEGY)]
    assert methods == ["none", "none", "none", "zscore", "none", "none"]


def test_each_column_belongs_to_its_name() -> None:
    frame = random_walk(200)
    features = features_of(STRATEGY, {"1h": frame})
    columns = calculate_indicators(STRATEGY, frame)
    np.testing.assert_array_equal(features.columns[3], columns["atr_14"])
    rsi, histogram = columns["rsi_14"][100:], columns["macd.histogram"][100:]
    np.testing.assert_allclose(features.columns[2][100:], np.exp(-(((rsi - 75) / 10) ** 2) / 2))
    np.testing.assert_allclose(features.columns[5][100:], np.clip(histogram / 0.5, 0, 1))


def test_an_output_of_an_indicator_is_named_with_its_dot() -> None:
    raw = Input(fuzzy_set=None, raw_indicator="macd.signal", timeframes=("1h",), normalization="none")
    strategy = replace(STRATEGY, inputs=(raw,))
    assert [column.name for column in feature_columns(strategy)] == ["1h_macd.signal_raw"]
    frame = random_walk(100)
    expected = calculate_indicators(strategy, frame)["macd.signal"]
    np.testing.assert_array_equal(features_of(strategy, {"1h": frame}).columns[0], expected)


def test_bars_of_the_warm_up_are_not_complete() -> None:
    rows = features_of(STRATEGY, {"1h": random_walk(60)}).complete_rows()
    assert rows.tolist() == list(range(33, 60))  # The MACD's signal line is known from bar 26 + 9 - 2 on.
    assert features_of(STRATEGY, {"1h": random_walk(20)}).complete_rows().size == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), cut=st.integers(1, 249))
def test_no_feature_changes_when_later_bars_are_taken_away(seed: int, cut: int) -> None:
    frame = random_walk(250, seed=seed)
    whole = features_of(STRATEGY, {"1h": frame})
    known = features_of(STRATEGY, {"1h": frame.iloc[:cut]})
    for column, longer in zip(known.columns, whole.columns, strict=True):
        assert column.tobytes() == longer[:cut].tobytes()


def test_a_price_frame_is_not_changed() -> None:
    frame = random_walk(100)
    before = frame.copy()
    features_of(STRATEGY, {"1h": frame})
    pd.testing.assert_frame_equal(frame, before)


VALUES = np.array([4.0, 1.0, 7.0, 3.0, 100.0])


def test_minmax_brings_the_values_to_0_and_1() -> None:
    scaled = fit("minmax", VALUES).apply(VALUES)
    assert (scaled.min(), scaled.max()) == (0.0, 1.0)


def test_zscore_brings_the_values_to_mean_0_and_deviation_1() -> None:
    scaled = fit("zscore", VALUES).apply(VALUES)
    assert (scaled.mean(), scaled.std()) == (pytest.approx(0), pytest.approx(1))


def test_robust_brings_the_median_to_0_and_the_quartiles_1_apart() -> None:
    scaled = fit("robust", VALUES).apply(VALUES)
    assert np.median(scaled) == 0
    assert np.diff(np.percentile(scaled, (25, 75))) == pytest.approx(1)


def test_none_leaves_the_values_alone() -> None:
    assert fit("none", VALUES).apply(VALUES) is VALUES


@pytest.mark.parametrize("method", ["minmax", "zscore", "robust"])
def test_values_without_spread_are_only_shifted(method: str) -> None:
    scaling = fit(method, np.full(5, 3.0))
    assert scaling == Scaling(method=method, offset=3.0, scale=1.0)
