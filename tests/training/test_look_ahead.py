"""No bar may see the future: whatever the strategy, what was not known yet can change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_examples import random_walk

from ktrdr.training.charts import charts_of, known_at
from ktrdr.training.features import Features, features_of
from ktrdr.training.indicators import REGISTRY
from ktrdr.training.prices import resample
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.names import feature_names
from ktrdr.training.strategy.parse import from_mapping

Frames = Mapping[str, pd.DataFrame]

#: The raw data: 45 days of hours from a Wednesday on, days of another exchange that are no sum of these hours, values
#: of a day without weekends, and another symbol's bars that do not begin at full hours.
HOURLY = random_walk(24 * 45, seed=1)
DAILY = random_walk(90, seed=2).set_axis(pd.date_range("2019-11-15", periods=90, freq="D", tz="UTC", name="time"))
RATE = pd.DataFrame(
    {"value": np.random.default_rng(3).normal(0.0, 1.0, 120)},
    index=pd.date_range("2019-10-01", periods=120, freq="B", tz="UTC", name="time"),
)
INDEX = random_walk(400, seed=4).set_axis(
    pd.date_range("2019-12-20 01:30", periods=400, freq="4h", tz="UTC", name="time")
)
LAGS = ["0", "12h", "1d", "3d"]

SHAPES = {"triangular": 3, "trapezoidal": 4, "gaussian": 2, "sigmoid": 2, "bell": 3}


@st.composite
def memberships(draw: st.DrawFn) -> dict[str, Any]:
    shape = draw(st.sampled_from(sorted(SHAPES)))
    numbers = draw(st.lists(st.floats(0.25, 150), min_size=SHAPES[shape], max_size=SHAPES[shape], unique=True))
    return {"type": shape, "parameters": sorted(numbers)}


@st.composite
def strategies(draw: st.DrawFn) -> Strategy:
    base = draw(st.sampled_from(["1h", "1h", "1h", "4h"]))
    timeframes = [base, *draw(st.lists(st.sampled_from(["2h", "1d", "1w"]), unique=True, max_size=3))]
    indicators = {
        f"i{number}": {"type": type} | ({"data_source": source} if source else {})
        for number, (type, source) in enumerate(
            draw(
                st.lists(
                    st.tuples(st.sampled_from(sorted(REGISTRY)), st.sampled_from([None, None, "RATE", "INDEX"])),
                    min_size=1,
                    max_size=3,
                )
            )
        )
    }
    chosen = st.lists(st.sampled_from(timeframes), min_size=1, unique=True)
    inputs: list[dict[str, Any]] = [{"fuzzy_set": "set", "timeframes": draw(chosen)}]
    for id, definition in indicators.items():
        outputs = [id, *(f"{id}.{output}" for output in REGISTRY[definition["type"]].outputs)]
        inputs.append({"raw_indicator": draw(st.sampled_from(outputs)), "timeframes": draw(chosen)})
    return from_mapping(
        {
            "name": "any",
            "training_data": {
                "symbols": {"symbol": "AAA"},
                "timeframes": {"list": timeframes, "base_timeframe": base},
            },
            "context_data": [
                {"provider": "fred", "series": "RATE", "frequency": "daily",
                 "publication_lag": draw(st.sampled_from(LAGS[1:]))},
                {"provider": "broker", "symbol": "INDEX", "frequency": "4h"},
            ],
            "indicators": indicators,
            "fuzzy_sets": {"set": {"indicator": "i0", "low": draw(memberships()), "high": draw(memberships())}},
            "nn_inputs": inputs,
            "model": {
                "type": "mlp",
                "hidden_layers": [2],
                "features": {
                    "lookback_periods": draw(st.integers(0, 3)),
                    "include_price_context": draw(st.booleans()),
                },
            },
            "decisions": {"output_format": "classification"},
            "training": {},
        }
    ).strategy  # fmt: skip


def features(strategy: Strategy, prices: Frames, context: Frames) -> Features:
    return features_of(strategy, charts_of(strategy, prices, context))


@settings(max_examples=60, deadline=None)
@given(
    strategy=strategies(),
    own_days=st.booleans(),
    hours=st.integers(5, 24 * 45 - 1),
    minutes=st.integers(0, 59),
    is_changed=st.booleans(),
)
def test_what_was_not_known_at_a_moment_changes_no_row_of_a_bar_that_had_closed(
    strategy: Strategy, own_days: bool, hours: int, minutes: int, is_changed: bool
) -> None:
    moment = HOURLY.index[0] + pd.Timedelta(hours=hours, minutes=minutes)

    def then(name: str, frame: pd.DataFrame) -> pd.DataFrame:
        """The data as it was known, or as it was with another future."""
        known = known_at(strategy, name, frame) <= moment.value
        if not is_changed:
            return frame[known]
        other = frame.copy()
        other[~known] *= 3.0
        return other

    prices = {"1h": HOURLY} | ({"1d": DAILY} if own_days else {})
    context = {"RATE": RATE, "INDEX": INDEX}
    whole = features(strategy, prices, context)
    # A context series that the strategy does not read is not declared in it.
    early = features(
        strategy,
        {name: then(name, frame) for name, frame in prices.items()},
        {name: then(name, frame) for name, frame in context.items() if name in strategy.context},
    )
    base = strategy.data.base_timeframe
    bars = prices[base] if base in prices else resample(HOURLY, "1h", base)
    closed = int((known_at(strategy, base, bars) <= moment.value).sum())
    for name, long, short in zip(feature_names(strategy), whole.columns, early.columns, strict=True):
        assert long[:closed].tobytes() == short[:closed].tobytes(), name


def raw(timeframe: str, **context: Any) -> Strategy:
    """The close on a timeframe, or the value of a context series, and nothing else; a bar per hour."""
    source = {"data_source": context["series"]} if context else {}
    return from_mapping(
        {
            "name": "raw",
            "training_data": {
                "symbols": {"symbol": "AAA"},
                "timeframes": {"list": list(dict.fromkeys(["1h", timeframe]))},
            },
            "context_data": [{"provider": "fred", **context}] if context else [],
            "indicators": {"it": {"type": "ema", "period": 1, **source}},
            "fuzzy_sets": {"unused": {"indicator": "it", "any": [0, 1, 2]}},
            "nn_inputs": [{"raw_indicator": "it", "timeframes": timeframe}],
            "model": {"type": "mlp", "hidden_layers": [2]},
            "decisions": {},
            "training": {},
        }
    ).strategy  # fmt: skip


def seen(strategy: Strategy, prices: Frames, moment: str, **context: pd.DataFrame) -> float:
    """What the row of the bar that opens at a moment sees."""
    of = features(strategy, prices, context)
    return float(of.columns[0][of.times.get_loc(pd.Timestamp(moment, tz="UTC"))])


def test_a_day_is_seen_by_the_bar_that_ends_with_it_and_not_before() -> None:
    strategy, prices = raw("1d"), {"1h": HOURLY, "1d": DAILY}
    assert seen(strategy, prices, "2020-01-08 12:00") == DAILY["close"]["2020-01-07"]
    assert seen(strategy, prices, "2020-01-08 22:00") == DAILY["close"]["2020-01-07"]
    assert seen(strategy, prices, "2020-01-08 23:00") == DAILY["close"]["2020-01-08"]


def test_a_resampled_day_is_seen_when_it_is_complete() -> None:
    strategy, prices = raw("1d"), {"1h": HOURLY}
    assert np.isnan(seen(strategy, prices, "2020-01-01 22:00"))
    assert seen(strategy, prices, "2020-01-01 23:00") == HOURLY["close"]["2020-01-01 23:00"]
    assert seen(strategy, prices, "2020-01-02 22:00") == HOURLY["close"]["2020-01-01 23:00"]


def test_a_resampled_week_is_seen_from_sunday_night_on() -> None:
    strategy, prices = raw("1w"), {"1h": HOURLY}
    assert np.isnan(seen(strategy, prices, "2020-01-05 22:00"))
    assert seen(strategy, prices, "2020-01-05 23:00") == HOURLY["close"]["2020-01-05 23:00"]
    assert seen(strategy, prices, "2020-01-12 22:00") == HOURLY["close"]["2020-01-05 23:00"]


def test_a_bar_that_ends_with_the_data_before_its_time_is_seen_by_no_row() -> None:
    strategy, prices = raw("1d"), {"1h": HOURLY.iloc[:40]}  # the second day has 16 hours
    of = features(strategy, prices, {})
    assert set(of.columns[0][23:].tolist()) == {HOURLY["close"]["2020-01-01 23:00"]}


@pytest.mark.parametrize(
    ("lag", "last_unseen"),
    [(0, "2020-01-08 22:00"), ("12h", "2020-01-09 10:00"), ("1d", "2020-01-09 22:00"), (2, "2020-01-10 22:00")],
)
def test_a_value_is_seen_once_its_period_is_over_and_it_is_published(lag: Any, last_unseen: str) -> None:
    strategy = raw("1h", series="RATE", frequency="daily", publication_lag=lag)
    following = str(pd.Timestamp(last_unseen) + pd.Timedelta("1h"))
    assert seen(strategy, {"1h": HOURLY}, last_unseen, RATE=RATE) == RATE["value"]["2020-01-07"]
    assert seen(strategy, {"1h": HOURLY}, following, RATE=RATE) == RATE["value"]["2020-01-08"]


def test_a_month_of_values_is_seen_after_its_end_and_its_lag() -> None:
    months = RATE.iloc[:4].set_axis(pd.date_range("2019-10-01", periods=4, freq="MS", tz="UTC", name="time"))
    strategy = raw("1h", series="CPI", frequency="monthly", publication_lag="10d")
    assert seen(strategy, {"1h": HOURLY}, "2020-01-10 22:00", CPI=months) == months["value"]["2019-11-01"]
    assert seen(strategy, {"1h": HOURLY}, "2020-01-10 23:00", CPI=months) == months["value"]["2019-12-01"]
    assert seen(strategy, {"1h": HOURLY}, "2020-02-10 22:00", CPI=months) == months["value"]["2019-12-01"]
