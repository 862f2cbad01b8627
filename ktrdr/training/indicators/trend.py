"""Indicators of trend: moving averages, their difference, and the strength of a direction.

Imports the registry only; TA-Lib (https://ta-lib.org/functions/) computes, NaN stands before the warm-up.
"""

from __future__ import annotations

from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import SOURCE, Array, Bars, Parameter, indicator, period


@indicator("simplemovingaverage", aliases=("sma",), period=period(20, 2, 500), source=SOURCE)
def simple_moving_average(bars: Bars, *, period: int, source: str) -> tuple[Array]:
    """The plain mean of the last `period` values."""
    return (talib().SMA(bars.column(source), timeperiod=period),)


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
