"""Indicators of volatility: how wide the price swings.

Imports the registry only; TA-Lib (https://ta-lib.org/functions/) computes, NaN stands before the warm-up.
"""

from __future__ import annotations

from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import SOURCE, Array, Bars, Parameter, indicator, period


@indicator("atr", period=period(14, 1, 100))
def average_true_range(bars: Bars, *, period: int) -> tuple[Array]:
    """Average true range in units of the price, by Wilder's smoothing (Wilder 1978, section III)."""
    return (talib().ATR(bars.high, bars.low, bars.close, timeperiod=period),)


@indicator(
    "bollingerbands",
    aliases=("bbands",),
    outputs=("upper", "middle", "lower"),
    period=period(20, 2, 500),
    multiplier=Parameter(default=2.0, low=0.0, high=10.0, low_open=True),
    source=SOURCE,
)
def bollinger_bands(bars: Bars, *, period: int, multiplier: float, source: str) -> tuple[Array, Array, Array]:
    """The plain mean of `period` values, and `multiplier` population standard deviations above and below it."""
    upper, middle, lower = talib().BBANDS(
        bars.column(source), timeperiod=period, nbdevup=multiplier, nbdevdn=multiplier
    )
    return upper, middle, lower
