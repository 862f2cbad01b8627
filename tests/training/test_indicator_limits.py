"""Prices as no market should have them: an indicator never raises, warns, or gives an infinite value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from training_examples import bars, make_indicator, random_walk

from ktrdr.training.indicators import REGISTRY, compute, warm_up_bars

PRICES = ["open", "high", "low", "close"]
BETWEEN = {
    "rsi": (0, 100),
    "mfi": (0, 100),
    "stochastic": (0, 100),
    "adx": (0, 100),
    "williamsr": (-100, 0),
    "aroon": (-100, 100),
    "rvi": (-1, 1),
    "squeezeintensity": (0, 0.5),
    "volumeratio": (0, 20),
    "bollingerbandwidth": (0, 20),
    "fishertransform": (-8, 8),
}


def one_price(frame: pd.DataFrame) -> None:
    frame[PRICES] = 0.1


def no_trading(frame: pd.DataFrame) -> None:
    frame["volume"] = 0.0


def neither(frame: pd.DataFrame) -> None:
    one_price(frame)
    no_trading(frame)


def tiny(frame: pd.DataFrame) -> None:
    frame[PRICES] *= 1e-14


def huge(frame: pd.DataFrame) -> None:
    frame[["volume", *PRICES]] *= 1e13


def leaping(frame: pd.DataFrame) -> None:
    frame[PRICES] *= np.where(np.arange(len(frame)) // 7 % 2, 1e9, 1e-9)[:, None]


def without_ranges(frame: pd.DataFrame) -> None:
    for name in PRICES:
        frame[name] = frame["close"]


def dried_up(frame: pd.DataFrame) -> None:
    """Huge volumes, then next to none, then none."""
    frame["volume"] *= np.where(np.arange(len(frame)) < 150, 1e15, 1e-15)
    frame.loc[frame.index[250:], "volume"] = 0.0


def steady(frame: pd.DataFrame) -> None:
    for name in PRICES:
        frame[name] = np.arange(1.0, len(frame) + 1.0)


def beyond_numbers(frame: pd.DataFrame) -> None:
    frame[["volume", *PRICES]] *= 1e300


FRAMES = [one_price, no_trading, neither, tiny, huge, leaping, without_ranges, dried_up, steady]


@pytest.mark.parametrize("spoil", FRAMES, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("type", sorted(REGISTRY))
def test_every_value_after_the_warm_up_is_finite_and_within_its_bounds(
    type: str, spoil: Callable[[pd.DataFrame], None]
) -> None:
    frame = random_walk(400, seed=2)
    spoil(frame)
    wanted = make_indicator(type)
    for name, column in compute(wanted, bars(frame)).items():
        assert not np.isinf(column).any(), name
        if type == "zigzag":
            continue  # Where the price does not swing there is no pivot.
        known = column[warm_up_bars(wanted) :]
        assert np.isfinite(known).all(), name
        low, high = BETWEEN.get(type, (-np.inf, np.inf))
        assert (known >= low - 1e-9).all(), name
        assert (known <= high + 1e-9).all(), name


@pytest.mark.parametrize("type", sorted(REGISTRY))
def test_what_leaves_the_range_of_numbers_is_missing(type: str) -> None:
    frame = random_walk(300)
    beyond_numbers(frame)
    for column in compute(make_indicator(type), bars(frame)).values():
        assert not np.isinf(column).any()


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("cci", 0.0),
        ("bollingerbandwidth", 0.0),
        ("squeezeintensity", 0.0),
        ("williamsr", 0.0),
        ("volumeratio", 1.0),
        ("mfi", 0.0),
        ("cmf", 0.0),
        ("rvi", 0.0),
        ("fishertransform", 0.0),
        ("distancefromma", 0.0),
        ("vwap", 0.1),
        ("supertrend", 0.1),
        ("keltnerchannels", 0.1),
    ],
)
def test_a_market_that_stands_still_gives_the_value_that_is_documented(type: str, value: float) -> None:
    frame = random_walk(200)
    neither(frame)
    for name, column in list(compute(make_indicator(type), bars(frame)).items())[:1]:
        np.testing.assert_allclose(column[50:], value, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("type", sorted(REGISTRY))
def test_a_price_in_another_unit_changes_only_the_unit(type: str) -> None:
    """By a power of two, so that not a bit may differ. What is in units of the price is divided by it again."""
    frame, factor = random_walk(300, seed=4), 2.0**-46
    in_units = {"atr", "momentum", "macd", "parabolicsar", "zigzag", "vwap", "supertrend", "bollingerbands"}
    in_units |= {"donchianchannels", "keltnerchannels", "ichimoku"} | {t for t in REGISTRY if "movingaverage" in t}
    usual = compute(make_indicator(type), bars(frame))
    frame[PRICES] *= factor
    for name, column in compute(make_indicator(type), bars(frame)).items():
        unit = factor if type in in_units and not name.endswith("direction") else 1.0
        np.testing.assert_array_equal(column / unit, usual[name], err_msg=name)


@pytest.mark.parametrize("count", range(5))
@pytest.mark.parametrize("type", sorted(REGISTRY))
def test_a_series_of_a_few_bars_is_no_trouble(type: str, count: int) -> None:
    for column in compute(make_indicator(type), bars(random_walk(count))).values():
        assert column.shape == (count,)
        assert not np.isinf(column).any()


def test_a_stretch_without_trading_leaves_nothing_of_the_volume_before_it() -> None:
    frame = random_walk(300)
    frame["volume"] *= 1e15
    frame.loc[frame.index[100:], "volume"] = 0.0
    data = bars(frame)
    assert (compute(make_indicator("volumeratio"), data)["x"][119:] == 1.0).all()
    assert (compute(make_indicator("cmf"), data)["x"][120:] == 0.0).all()
    assert (compute(make_indicator("mfi"), data)["x"][113:] == 0.0).all()
    price = data.typical()
    np.testing.assert_allclose(compute(make_indicator("vwap"), data)["x"][130], price[111:131].mean(), rtol=1e-12)
