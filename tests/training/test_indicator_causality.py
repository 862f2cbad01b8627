"""No indicator sees the future: cutting the bars off anywhere changes no earlier value, not even in its last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_examples import bars, make_indicator, random_walk

from ktrdr.training.indicators import REGISTRY, Bars, Parameter, compute, warm_up_bars
from ktrdr.training.strategy.model import Indicator

#: Enough for the longest warm-up that the drawn parameters lead to.
COUNT = 500


def values_of(parameter: Parameter) -> st.SearchStrategy[Any]:
    """Values within the range of a parameter, whole numbers up to 80."""
    low, high = parameter.low, parameter.high
    match parameter.kind:
        case "integer":
            return st.integers(int(low or 0), int(min(80, high or 80)))
        case "number":
            return st.floats(low or 0.0, high or 1.0, exclude_min=parameter.low_open, exclude_max=parameter.high_open)
        case "boolean":
            return st.booleans()
        case "choice":
            return st.sampled_from(parameter.choices)


@st.composite
def indicators(draw: st.DrawFn, type: str) -> Indicator:
    params = {name: draw(values_of(parameter)) for name, parameter in REGISTRY[type].parameters.items()}
    if type == "macd":
        params["fast_period"], params["slow_period"] = sorted((params["fast_period"], params["slow_period"] + 81))
    return make_indicator(type, **params)


def walk(seed: int, count: int = COUNT) -> Bars:
    """A random walk with quiet bars: some without trading, some of one price."""
    data = bars(random_walk(count, seed=seed, volatility=10.0 ** -(1 + seed % 4)))
    random = np.random.default_rng(seed)
    data.volume[random.random(count) < 0.2] = 0.0
    quiet = random.random(count) < 0.1
    for column in (data.open, data.high, data.low):
        column[quiet] = data.close[quiet]
    return data


def until(data: Bars, count: int) -> Bars:
    return Bars(data.open[:count], data.high[:count], data.low[:count], data.close[:count], data.volume[:count])


@pytest.mark.parametrize("type", sorted(REGISTRY))
@settings(max_examples=12, deadline=None)
@given(data=st.data(), count=st.integers(0, COUNT), seed=st.integers(0, 2**16))
def test_a_value_knows_nothing_of_later_bars(type: str, data: st.DataObject, count: int, seed: int) -> None:
    indicator = data.draw(indicators(type))
    everything = walk(seed)
    whole, cut = compute(indicator, everything), compute(indicator, until(everything, count))
    for name, column in cut.items():
        np.testing.assert_array_equal(column, whole[name][:count], err_msg=name)


@pytest.mark.parametrize("type", sorted(REGISTRY))
def test_a_value_of_a_long_series_knows_nothing_of_later_bars(type: str) -> None:
    everything = walk(6, 6000)
    whole = compute(make_indicator(type), everything)
    for count in (5999, 4097, 1777, 700):
        for name, column in compute(make_indicator(type), until(everything, count)).items():
            np.testing.assert_array_equal(column, whole[name][:count], err_msg=name)


@pytest.mark.parametrize("type", sorted(REGISTRY))
@settings(max_examples=6, deadline=None)
@given(data=st.data(), count=st.integers(0, COUNT), seed=st.integers(0, 2**16), lift=st.sampled_from([0.0, 5.0]))
def test_a_series_that_falls_below_zero_shows_nothing_of_the_future_either(
    type: str, data: st.DataObject, count: int, seed: int, lift: float
) -> None:
    """Such as context data may be: one value in all columns, no volume, and equal values in a row."""
    indicator = data.draw(indicators(type))
    series = np.round(np.cumsum(np.random.default_rng(seed).normal(0.0, 1.0, COUNT)) + lift, 1)
    context = Bars(series, series, series, series, np.zeros(COUNT))
    whole, cut = compute(indicator, context), compute(indicator, until(context, count))
    for name, column in cut.items():
        np.testing.assert_array_equal(column, whole[name][:count], err_msg=name)
        assert not np.isinf(column).any(), name


@pytest.mark.parametrize("type", sorted(REGISTRY))
@settings(max_examples=5, deadline=None)
@given(data=st.data(), missing=st.integers(1, COUNT + 10))
def test_a_series_that_begins_later_gives_what_it_gives_alone(type: str, data: st.DataObject, missing: int) -> None:
    indicator = data.draw(indicators(type))
    known = until(walk(1), max(0, COUNT - missing))
    columns = (known.open, known.high, known.low, known.close, known.volume)
    late = Bars(*(np.append(np.full(missing, np.nan), column) for column in columns))
    alone = compute(indicator, known)
    for name, column in compute(indicator, late).items():
        np.testing.assert_array_equal(column, np.append(np.full(missing, np.nan), alone[name]), err_msg=name)


@pytest.mark.parametrize("type", sorted(set(REGISTRY) - {"zigzag"}))
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_every_output_is_known_from_the_end_of_the_warm_up_on_and_not_before(type: str, data: st.DataObject) -> None:
    indicator = data.draw(indicators(type))
    columns = np.array(list(compute(indicator, walk(3)).values()))
    known = np.isfinite(columns).all(axis=0)
    first = warm_up_bars(indicator)
    assert not known[:first].any()
    assert known[first:].all()


def test_a_channel_without_width_makes_nothing_known_before_the_warm_up_is_over() -> None:
    params = {"bb_period": 4, "bb_multiplier": 1.0, "kc_period": 2, "kc_multiplier": 5e-324, "source": "open"}
    (column,) = compute(Indicator(id="x", type="squeezeintensity", params=params, data_source=None), walk(3)).values()
    assert np.isnan(column[:3]).all()
    assert np.isfinite(column[3:]).all()


@pytest.mark.parametrize(
    ("type", "params", "warm_up"),
    [
        ("rsi", {}, 14),
        ("simplemovingaverage", {"period": 500}, 499),
        ("exponentialmovingaverage", {"period": 1}, 0),
        ("macd", {}, 33),
        ("macd", {"fast_period": 100, "slow_period": 200, "signal_period": 50}, 248),
        ("adx", {"period": 200}, 399),
        ("stochastic", {"k_period": 100, "d_period": 20, "smooth_k": 20}, 137),
        ("squeezeintensity", {"bb_period": 30}, 29),
        ("supertrend", {}, 10),
        ("ichimoku", {}, 77),
        ("ichimoku", {"senkou_b_period": 500, "displacement": 200}, 699),
        ("fishertransform", {}, 12),
        ("rvi", {}, 15),
        ("cmf", {}, 28),
        ("adline", {}, 21),
        ("adline", {"smoothing_period": 200}, 199),
        ("obv", {}, 0),
        ("vwap", {"period": 0}, 0),
        ("parabolicsar", {}, 1),
        ("zigzag", {}, 2),
        ("zigzag", {"threshold": 0.999999}, 2),
    ],
)
def test_the_warm_up_is_told(type: str, params: dict[str, Any], warm_up: int) -> None:
    assert warm_up_bars(make_indicator(type, **params)) == warm_up


def test_the_zigzag_has_its_first_value_at_the_bar_that_confirms_a_pivot() -> None:
    frame = random_walk(8)
    frame["close"] = [100.0, 104.0, 106.0, 110.0, 105.0, 104.0, 98.0, 103.0]
    pivots = compute(make_indicator("zigzag"), bars(frame))["x"]
    np.testing.assert_array_equal(pivots, [np.nan, np.nan, np.nan, np.nan, np.nan, 110.0, 110.0, 98.0])
