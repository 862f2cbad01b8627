"""Indicators of volatility: how wide the price swings.

Imports the registry, TA-Lib (https://ta-lib.org/functions/) and window arithmetic; NaN stands before the warm-up.
"""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators._series import divided, total
from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import SOURCE, Array, Bars, Parameter, indicator, multiplier, period


@indicator("atr", period=period(14, 1, 100))
def average_true_range(bars: Bars, *, period: int) -> tuple[Array]:
    """Average true range in units of the price, by Wilder's smoothing (Wilder 1978, section III)."""
    return (talib().ATR(bars.high, bars.low, bars.close, timeperiod=period),)


@indicator(
    "bollingerbands",
    aliases=("bbands",),
    outputs=("upper", "middle", "lower"),
    period=period(20, 2, 500),
    multiplier=multiplier(2.0),
    source=SOURCE,
)
def bollinger_bands(bars: Bars, *, period: int, multiplier: float, source: str) -> tuple[Array, Array, Array]:
    """The plain mean of `period` values, and `multiplier` population standard deviations above and below it."""
    middle, reach = _band(bars.column(source), period, multiplier)
    return middle + reach, middle, middle - reach


@indicator("bollingerbandwidth", period=period(20, 2, 200), multiplier=multiplier(2.0), source=SOURCE)
def bollinger_band_width(bars: Bars, *, period: int, multiplier: float, source: str) -> tuple[Array]:
    """The distance of the upper Bollinger band from the lower, as a fraction of the middle; 0 where that is 0."""
    middle, reach = _band(bars.column(source), period, multiplier)
    return (divided(2.0 * reach, middle, 0.0),)


def _band(values: Array, period: int, multiplier: float) -> tuple[Array, Array]:
    """The middle of the Bollinger bands and how far they reach from it: 0, to the last bit, where nothing moves."""
    return total(values, period) / period, talib().STDDEV(values, timeperiod=period, nbdev=multiplier)


def _squeeze_period(default: int) -> Parameter:
    return Parameter(default=default, low=2, high=200, aliases=("period",))


@indicator(
    "squeezeintensity",
    bb_period=_squeeze_period(20),
    bb_multiplier=multiplier(2.0),
    kc_period=_squeeze_period(20),
    kc_multiplier=multiplier(2.0),
    source=SOURCE,
)
def squeeze_intensity(
    bars: Bars, *, bb_period: int, bb_multiplier: float, kc_period: int, kc_multiplier: float, source: str
) -> tuple[Array]:
    """How far the Bollinger bands lie within the Keltner channel: the smaller of their two distances from its edges, as
    a fraction of its width, 0.5 at most; 0 where one lies outside, and where the channel has no width.

    The channel's middle is the exponential mean of the source, its range the average true range, both of `kc_period`.
    """
    middle, inner = _band(bars.column(source), bb_period, bb_multiplier)
    centre = talib().EMA(bars.column(source), timeperiod=kc_period)
    outer = kc_multiplier * talib().ATR(bars.high, bars.low, bars.close, timeperiod=kc_period)
    inside = outer - inner - np.abs(centre - middle)
    return (divided(np.maximum(inside, 0.0), 2.0 * outer, 0.0),)
