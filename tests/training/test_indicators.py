"""Every indicator type against its definition, and what computing one promises."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import talib
from indicator_references import expected
from mintalib.samples import sample_prices
from training_examples import bars, make_indicator, random_walk

from ktrdr import sample
from ktrdr.training.indicators import REGISTRY, compute, find
from ktrdr.training.price_import import read_prices


def gapped(count: int) -> pd.DataFrame:
    """The price jumps by half or doubles every 30 bars."""
    frame = random_walk(count, seed=5)
    jumps = np.cumprod(np.where(np.arange(count) % 60 == 30, 2.0, np.where(np.arange(count) % 60 == 59, 0.5, 1.0)))
    for column in ("open", "high", "low", "close"):
        frame[column] *= jumps
    return frame


def halting(count: int) -> pd.DataFrame:
    """Trading stops for 70 bars: the price stands still and no volume changes hands."""
    frame = random_walk(count, seed=8, volatility=0.03)
    frame.loc[frame.index[80:150], ["open", "high", "low", "close"]] = frame["close"].iloc[79]
    frame.loc[frame.index[80:150], "volume"] = 0.0
    return frame


@functools.cache
def daily() -> pd.DataFrame:
    return read_prices(sample.prices(), filename="prices.csv.gz").frames["IBM"].iloc[-400:]


def hourly() -> pd.DataFrame:
    return sample_prices("hourly").iloc[:400].astype(float)


FRAMES = {
    "random": lambda: random_walk(300),
    "gapped": lambda: gapped(300),
    "halting": lambda: halting(300),
    "daily": daily,
    "hourly": hourly,
}

CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in REGISTRY),
    ("rsi", {"period": 2}),
    ("rsi", {"period": 100, "source": "high"}),
    ("roc", {"period": 1, "source": "open"}),
    ("momentum", {"period": 1, "source": "volume"}),
    ("cci", {"period": 2}),
    ("williamsr", {"period": 1}),
    ("atr", {"period": 1}),
    ("bollingerbandwidth", {"period": 2, "multiplier": 0.5, "source": "high"}),
    ("squeezeintensity", {"bb_period": 10, "kc_period": 30, "bb_multiplier": 1.0, "kc_multiplier": 3.0}),
    ("simplemovingaverage", {"period": 2, "source": "open"}),
    ("weightedmovingaverage", {"period": 2, "source": "low"}),
    ("exponentialmovingaverage", {"period": 1}),
    ("exponentialmovingaverage", {"period": 5, "adjust": True}),
    ("exponentialmovingaverage", {"period": 1, "adjust": True}),
    ("distancefromma", {"period": 1}),
    ("distancefromma", {"period": 7, "ma_type": "EMA", "source": "high"}),
    ("mfi", {"period": 1}),
    ("vwap", {"period": 0}),
    ("vwap", {"period": 1, "use_typical_price": False}),
    ("parabolicsar", {"initial_af": 0.3, "step_af": 0.1, "max_af": 0.2}),
    ("zigzag", {"threshold": 0.005, "source": "open"}),
    ("macd", {"fast_period": 2, "slow_period": 3, "signal_period": 1}),
    ("adx", {"period": 2}),
    ("stochastic", {"k_period": 1, "d_period": 1, "smooth_k": 1}),
    ("stochastic", {"k_period": 5, "d_period": 20, "smooth_k": 1}),
    ("bollingerbands", {"period": 2, "multiplier": 10.0, "source": "low"}),
    ("keltnerchannels", {"period": 2, "atr_period": 50, "multiplier": 0.1}),
    ("supertrend", {"period": 1, "multiplier": 0.2}),
    ("supertrend", {"period": 3, "multiplier": 0.05}),
    ("ichimoku", {"tenkan_period": 1, "kijun_period": 2, "senkou_b_period": 3, "displacement": 1}),
    ("aroon", {"period": 1}),
    ("aroon", {"period": 2}),
    ("fishertransform", {"period": 2, "smoothing": 1}),
    ("fishertransform", {"period": 40, "smoothing": 20}),
    ("rvi", {"period": 4, "signal_period": 1}),
    ("rvi", {"period": 5, "signal_period": 7}),
    ("cmf", {"period": 2}),
    ("adline", {"smoothing_period": 2}),
]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("type", "params"), CASES)
def test_an_indicator_agrees_with_its_definition(type: str, params: dict[str, Any], frame: str) -> None:
    prices = FRAMES[frame]()
    wanted = make_indicator(type, **params)
    columns = list(compute(wanted, bars(prices)).values())[-len(REGISTRY[type].outputs or "x") :]
    lists = {name: prices[name].tolist() for name in prices.columns}
    names = REGISTRY[type].outputs or (type,)
    for name, column, value in zip(names, columns, expected(type, lists, wanted.params), strict=True):
        size = np.nanmax(np.abs(value), initial=1.0)
        np.testing.assert_allclose(column, value, rtol=1e-8, atol=1e-9 * size, err_msg=f"{type}.{name}")


def test_what_is_computed_without_ta_lib_agrees_with_it() -> None:
    data = bars(hourly())
    prices = (data.high, data.low, data.close)
    pairs = [
        (compute(make_indicator("mfi"), data)["x"], talib.MFI(*prices, data.volume, timeperiod=14)),
        (compute(make_indicator("williamsr"), data)["x"], talib.WILLR(*prices, timeperiod=14)),
        (compute(make_indicator("adline"), data)["x.line"], talib.AD(*prices, data.volume)),
        (compute(make_indicator("bollingerbands"), data)["x.upper"], talib.BBANDS(data.close, 20, 2.0, 2.0)[0]),
        (compute(make_indicator("bollingerbands"), data)["x.lower"], talib.BBANDS(data.close, 20, 2.0, 2.0)[2]),
        (compute(make_indicator("parabolicsar"), data)["x"], talib.SAR(data.high, data.low, 0.02, 0.2)),
        (compute(make_indicator("aroon"), data)["x.oscillator"], talib.AROONOSC(data.high, data.low, timeperiod=14)),
    ]
    for column, theirs in pairs:
        np.testing.assert_allclose(column, theirs, rtol=1e-9, atol=1e-9)


def test_a_trend_that_is_passed_from_both_sides_at_once_turns_round() -> None:
    """With a narrow band a gap leaves both bands on the wrong sides of the close."""
    frame = gapped(300)
    lists = {name: frame[name].tolist() for name in frame.columns}
    params = {"period": 1, "multiplier": 0.02}
    columns = compute(make_indicator("supertrend", **params), bars(frame))
    trend, direction = expected("supertrend", lists, params)
    np.testing.assert_array_equal(columns["x.direction"], direction)
    np.testing.assert_allclose(columns["x.trend"], trend, rtol=1e-12)


@pytest.mark.parametrize(
    ("count", "multiplier", "volatility"),
    [(3000, 0.05, 0.0002), (3000, 1.0, 0.02), (3000, 3.0, 0.02), (3000, 10.0, 0.02), (100_000, 10.0, 0.0002)],
)
def test_the_supertrend_of_a_long_series_is_the_one_bar_by_bar(
    count: int, multiplier: float, volatility: float
) -> None:
    frame = random_walk(count, seed=3, volatility=volatility)
    lists = {name: frame[name].tolist() for name in frame.columns}
    columns = compute(make_indicator("supertrend", multiplier=multiplier), bars(frame))
    trend, direction = expected("supertrend", lists, {"period": 10, "multiplier": multiplier})
    np.testing.assert_array_equal(columns["x.direction"], direction)
    np.testing.assert_allclose(columns["x.trend"], trend, rtol=1e-12)


def test_a_band_that_nothing_passes_is_held_through_a_long_series() -> None:
    frame = random_walk(2000, volatility=0.001)
    high = frame.index[12]
    frame.loc[high:, ["open", "high", "low", "close"]] = [90.0, 91.0, 89.0, 90.0]
    lists = {name: frame[name].tolist() for name in frame.columns}
    columns = compute(make_indicator("supertrend"), bars(frame))
    np.testing.assert_allclose(columns["x"], expected("supertrend", lists, {"period": 10, "multiplier": 3.0})[0])


def test_the_fisher_transform_of_a_steady_rise_stays_at_its_end() -> None:
    frame = random_walk(700)
    rise = np.arange(700.0) + 100.0
    for column in ("open", "high", "low", "close"):
        frame[column] = rise
    lists = {name: frame[name].tolist() for name in frame.columns}
    fisher = compute(make_indicator("fishertransform"), bars(frame))["x.fisher"]
    np.testing.assert_allclose(fisher, expected("fishertransform", lists, {"period": 10, "smoothing": 3})[0], rtol=1e-9)
    np.testing.assert_allclose(fisher[-1], np.log(1.999 / 0.001), rtol=1e-9)


def test_the_id_alone_means_the_first_output() -> None:
    columns = compute(make_indicator("macd", id="m"), bars(random_walk(80)))
    assert list(columns) == ["m", "m.line", "m.signal", "m.histogram"]
    np.testing.assert_array_equal(columns["m"], columns["m.line"])


def test_bars_are_not_changed() -> None:
    frame = bars(random_walk(100))
    before = frame.close.copy()
    for type in REGISTRY:
        for column in compute(make_indicator(type), frame).values():
            assert not np.shares_memory(column, frame.close)
    np.testing.assert_array_equal(frame.close, before)


def test_a_type_is_found_by_every_name_in_any_case() -> None:
    names = {"SMA": "simplemovingaverage", "Ema": "exponentialmovingaverage", "bbands": "bollingerbands", "RSI": "rsi"}
    assert {name: getattr(find(name), "name", None) for name in names} == names
    assert find("nothing") is None


def test_importing_every_indicator_imports_neither_pandas_nor_torch() -> None:
    code = "import sys, ktrdr.training.indicators; print([m for m in ('pandas', 'torch', 'talib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
