"""Indicators of trend: moving averages, their differences, and the strength of a direction.

Imports the registry and window arithmetic; TA-Lib (https://ta-lib.org/functions/) computes most, NaN stands before the
warm-up.
"""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators._series import divided, lagged, total
from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import SOURCE, Array, Bars, Parameter, indicator, period


@indicator("simplemovingaverage", aliases=("sma",), period=period(20, 2, 500), source=SOURCE)
def simple_moving_average(bars: Bars, *, period: int, source: str) -> tuple[Array]:
    """The plain mean of the last `period` values."""
    return (talib().SMA(bars.column(source), timeperiod=period),)


@indicator("weightedmovingaverage", aliases=("wma",), period=period(20, 2, 500), source=SOURCE)
def weighted_moving_average(bars: Bars, *, period: int, source: str) -> tuple[Array]:
    """The mean of the last `period` values with weights 1, 2, ... up to `period` for the newest."""
    return (talib().WMA(bars.column(source), timeperiod=period),)


@indicator(
    "exponentialmovingaverage",
    aliases=("ema",),
    period=period(20, 1, 500),
    source=SOURCE,
    adjust=Parameter(default=False),
)
def exponential_moving_average(bars: Bars, *, period: int, source: str, adjust: bool) -> tuple[Array]:
    """The exponential mean with weight 2 / (period + 1) on the newest value.

    Plain, it is the recursion that starts from the mean of the first `period` values. With `adjust`, each value is
    the weighted mean of all bars so far (weights falling by 1 - alpha, divided by their sum), which needs no start.
    """
    values = bars.column(source)
    if period == 1:  # The newest value has all the weight; TA-Lib starts at 2.
        return (values.copy(),)
    if not adjust:
        return (talib().EMA(values, timeperiod=period),)
    import pandas

    return (pandas.Series(values).ewm(span=period, adjust=True, min_periods=period).mean().to_numpy(),)


@indicator(
    "distancefromma",
    period=period(20, 1, 200),
    ma_type=Parameter(default="SMA", choices=("SMA", "EMA")),
    source=SOURCE,
)
def distance_from_moving_average(bars: Bars, *, period: int, ma_type: str, source: str) -> tuple[Array]:
    """How far the value lies from its plain or exponential mean, in percent of the mean; 0 where the mean is 0."""
    values = bars.column(source)
    if ma_type == "EMA":
        (average,) = exponential_moving_average(bars, period=period, source=source, adjust=False)
    else:
        average = total(values, period) / period
    return (100.0 * divided(values - average, average, 0.0),)


@indicator(
    "macd",
    outputs=("line", "signal", "histogram"),
    fast_period=period(12, 2, 100, "fast"),
    slow_period=period(26, 2, 200, "slow"),
    signal_period=period(9, 1, 50, "signal"),
    source=SOURCE,
)
def macd(
    bars: Bars, *, fast_period: int, slow_period: int, signal_period: int, source: str
) -> tuple[Array, Array, Array]:
    """Moving average convergence/divergence (Appel): fast EMA minus slow EMA, its own EMA, and their difference."""
    line, signal, histogram = talib().MACD(
        bars.column(source), fastperiod=fast_period, slowperiod=slow_period, signalperiod=signal_period
    )
    return line, signal, histogram


@indicator("adx", outputs=("adx", "plus_di", "minus_di"), period=period(14, 2, 200))
def adx(bars: Bars, *, period: int) -> tuple[Array, Array, Array]:
    """Average directional index and the two directional indicators, 0 to 100 (Wilder 1978, section IV)."""
    prices = (bars.high, bars.low, bars.close)
    return (
        talib().ADX(*prices, timeperiod=period),
        talib().PLUS_DI(*prices, timeperiod=period),
        talib().MINUS_DI(*prices, timeperiod=period),
    )


@indicator("aroon", outputs=("up", "down", "oscillator"), period=period(14, 1, 200))
def aroon(bars: Bars, *, period: int) -> tuple[Array, Array, Array]:
    """Aroon (Chande 1995): how recent the highest high and the lowest low of the last `period` + 1 bars are, 100 for
    the newest bar and 0 for the oldest, and the difference of the two. Of equal extremes the latest counts.
    """
    if period > 1:
        down, up = talib().AROON(bars.high, bars.low, timeperiod=period)
    else:  # TA-Lib starts at 2.
        before = lagged(bars.high, 1), lagged(bars.low, 1)
        up, down = 100.0 * (bars.high >= before[0]), 100.0 * (bars.low <= before[1])
        up[:1] = down[:1] = np.nan
    return up, down, up - down
