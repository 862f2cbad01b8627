from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_examples import make_strategy, random_walk

from ktrdr.training.charts import charts_of
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.features import bars_of, calculate_indicators, feature_columns, features_of
from ktrdr.training.normalization import Scaling, fit
from ktrdr.training.price_context import price_context
from ktrdr.training.strategy.model import Input, Strategy
from ktrdr.training.strategy.names import PRICE_CONTEXT, feature_names
from ktrdr.training.strategy.parse import from_mapping

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
    columns = calculate_indicators(STRATEGY, "1h", frame)
    np.testing.assert_array_equal(features.columns[3], columns["atr_14"])
    rsi, histogram = columns["rsi_14"][100:], columns["macd.histogram"][100:]
    np.testing.assert_allclose(features.columns[2][100:], np.exp(-(((rsi - 75) / 10) ** 2) / 2))
    np.testing.assert_allclose(features.columns[5][100:], np.clip(histogram / 0.5, 0, 1))


def test_an_output_of_an_indicator_is_named_with_its_dot() -> None:
    raw = Input(fuzzy_set=None, raw_indicator="macd.signal", timeframes=("1h",), normalization="none")
    strategy = replace(STRATEGY, inputs=(raw,))
    assert [column.name for column in feature_columns(strategy)] == ["1h_macd.signal_raw"]
    frame = random_walk(100)
    expected = calculate_indicators(strategy, "1h", frame)["macd.signal"]
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


# --- several charts ---


def joined(**changes: Any) -> Strategy:
    """Closes on three timeframes and of a context series, and memberships of the last."""
    mapping: dict[str, Any] = {
        "name": "joined",
        "training_data": {"symbols": {"symbol": "AAA"}, "timeframes": {"list": ["1h", "4h", "1d"]}},
        "context_data": [{"provider": "fred", "series": "RATE", "frequency": "daily", "publication_lag": "6h"}],
        "indicators": {
            "price": {"type": "ema", "period": 1},
            "slow": {"type": "sma", "period": 3},
            "rate": {"type": "ema", "period": 1, "data_source": "RATE"},
        },
        "fuzzy_sets": {"level": {"indicator": "rate", "low": [-2, -1, 0], "high": [0, 1, 2]}},
        "nn_inputs": [
            {"raw_indicator": "price", "timeframes": ["4h", "1h"], "normalization": "robust"},
            {"raw_indicator": "slow", "timeframes": "1d"},
            {"fuzzy_set": "level", "timeframes": ["1h", "1d"]},
        ],
        "model": {"type": "mlp", "hidden_layers": [2], "features": changes},
        "decisions": {},
        "training": {},
    }
    return from_mapping(mapping).strategy


RATE = pd.DataFrame(
    {"value": [0.5, -0.25, -1.5, 1.25]}, index=pd.date_range("2019-12-30", periods=4, freq="D", tz="UTC", name="time")
)


def test_features_of_all_charts_lags_and_price_context_have_their_names_and_order() -> None:
    own = ["4h_price_raw", "1h_price_raw", "1d_slow_raw", "1h_level_low", "1h_level_high", "1d_level_low"]
    own += ["1d_level_high"]
    own += [f"{timeframe}_{what}" for timeframe in ("1h", "4h", "1d") for what in ("return", "range", "volume_ratio")]
    names = feature_names(joined(lookback_periods=2, include_price_context=True))
    assert names == [*own, *(f"{name}_lag1" for name in own), *(f"{name}_lag2" for name in own)]


def test_every_row_holds_the_values_that_were_known_when_its_bar_closed() -> None:
    strategy, frame = joined(lookback_periods=2, include_price_context=True), random_walk(130, seed=8)
    charts = charts_of(strategy, {"1h": frame}, {"RATE": RATE})
    hour, four, day = (charts[name] for name in ("1h", "4h", "1d"))

    def last(chart: pd.DataFrame, hours: int, now: pd.Timestamp) -> int | None:
        known = [row for row, opens in enumerate(chart.index) if opens + pd.Timedelta(hours=hours) <= now]
        return known[-1] if known else None

    def context(chart: pd.DataFrame, row: int | None) -> list[float]:
        if row is None:
            return [np.nan] * 3
        bar = chart.iloc[row]
        volume = chart["volume"].iloc[row - 19 : row + 1] if row >= 19 else None
        return [
            bar["close"] / chart["close"].iloc[row - 1] - 1 if row else np.nan,
            (bar["high"] - bar["low"]) / bar["close"],
            np.nan if volume is None else bar["volume"] / volume.mean(),
        ]

    expected = []
    for opens in hour.index:
        now = opens + pd.Timedelta("1h")
        rows = {"1h": last(hour, 1, now), "4h": last(four, 4, now), "1d": last(day, 24, now)}
        rate = last(RATE, 24 + 6, now)
        value = np.nan if rate is None else RATE["value"].iloc[rate]
        level = [np.clip(1 - abs(value - top), 0, 1) for top in (-1, 1)]
        slow = day["close"].iloc[rows["1d"] - 2 : rows["1d"] + 1].mean() if (rows["1d"] or 0) >= 2 else np.nan
        of_four = np.nan if rows["4h"] is None else four["close"].iloc[rows["4h"]]
        contexts = context(hour, rows["1h"]) + context(four, rows["4h"]) + context(day, rows["1d"])
        expected.append([of_four, hour["close"].iloc[rows["1h"]], slow, *level, *level, *contexts])
    own = np.array(expected)
    missing = np.full((1, own.shape[1]), np.nan)
    table = np.hstack([own, np.vstack([missing, own[:-1]]), np.vstack([missing, missing, own[:-2]])])
    found = features_of(strategy, charts)
    np.testing.assert_allclose(np.column_stack(found.columns), table, rtol=1e-12, atol=1e-15)
    assert found.times.equals(hour.index)


def test_a_lag_is_a_view_and_no_copy() -> None:
    strategy = joined(lookback_periods=3)
    columns = features_of(strategy, charts_of(strategy, {"1h": random_walk(80)}, {"RATE": RATE})).columns
    assert np.shares_memory(columns[0], columns[len(columns) - 7])
    # What a context series says is the same on every timeframe, and is kept once.
    assert columns[3] is not columns[5]
    assert np.shares_memory(columns[3], columns[5])


def test_only_what_inputs_read_on_a_chart_is_computed_on_it() -> None:
    strategy = joined()
    charts = charts_of(strategy, {"1h": random_walk(80)}, {"RATE": RATE})
    computed = {chart: set(calculate_indicators(strategy, chart, frame)) for chart, frame in charts.items()}
    assert computed == {"1h": {"price"}, "4h": {"price"}, "1d": {"slow"}, "RATE": {"rate"}}


def test_scaling_is_of_what_is_no_membership_and_has_no_normalisation_of_its_own() -> None:
    columns = feature_columns(joined(lookback_periods=1, include_price_context=True, scale_features=True))
    methods = {column.name: column.normalization for column in columns}
    assert methods["4h_price_raw"] == methods["4h_price_raw_lag1"] == "robust"
    assert methods["1d_slow_raw"] == methods["1d_volume_ratio"] == methods["1h_return_lag1"] == "zscore"
    assert methods["1h_level_low"] == methods["1d_level_high_lag1"] == "none"
    assert {c.normalization for c in feature_columns(joined(include_price_context=True)) if c.kind == "price"} == {
        "none"
    }


def test_volume_that_nobody_traded_is_as_usual() -> None:
    frame = random_walk(60).assign(volume=[1e9] * 20 + [0.0] * 40)
    ratio = price_context("volume_ratio", bars_of(frame))
    assert np.isnan(ratio[:19]).all()
    assert ratio[19:].tolist() == [1.0] + [0.0] * 19 + [1.0] * 21


@pytest.mark.parametrize("count", [1, 2, 19, 20])
def test_short_frames_have_price_context_as_far_as_it_is_known(count: int) -> None:
    bars = bars_of(random_walk(count))
    known = {name: int(np.isfinite(price_context(name, bars)).sum()) for name in PRICE_CONTEXT}
    assert known == {"return": count - 1, "range": count, "volume_ratio": max(count - 19, 0)}


def test_data_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidInputError) as caught:
        charts_of(joined(), {"1d": random_walk(80)}, {})
    assert [str(fault).split(":")[0] for fault in caught.value.faults] == ["1h", "4h", "RATE"]
    with pytest.raises(InvalidInputError, match="the columns are value"):
        charts_of(joined(), {"1h": RATE}, {"RATE": RATE})
    with pytest.raises(InvalidInputError, match="value is not a finite number"):
        charts_of(joined(), {"1h": random_walk(80)}, {"RATE": RATE * np.nan})


# --- scalings ---


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
