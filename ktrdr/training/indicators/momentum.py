"""Indicators of momentum: how fast the price moves, and where it stands in its recent range.

Imports the registry, TA-Lib (https://ta-lib.org/functions/) and window arithmetic; NaN stands before the warm-up.
"""

from __future__ import annotations

from ktrdr.training.indicators._series import divided, highest, lowest
from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import SOURCE, Array, Bars, indicator, period


@indicator("rsi", period=period(14, 2, 100), source=SOURCE)
def rsi(bars: Bars, *, period: int, source: str) -> tuple[Array]:
    """Relative strength index, 0 to 100, by Wilder's smoothing (Wilder 1978, section VI); 0 while nothing moves."""
    return (talib().RSI(bars.column(source), timeperiod=period),)


@indicator("roc", period=period(10, 1, 100), source=SOURCE)
def roc(bars: Bars, *, period: int, source: str) -> tuple[Array]:
    """Rate of change over `period` bars, in percent; 0 where the value was 0 then."""
    return (talib().ROC(bars.column(source), timeperiod=period),)


@indicator("momentum", period=period(10, 1, 100), source=SOURCE)
def momentum(bars: Bars, *, period: int, source: str) -> tuple[Array]:
    """The change over `period` bars, in units of the source."""
    return (talib().MOM(bars.column(source), timeperiod=period),)


@indicator("cci", period=period(20, 2, 100))
def commodity_channel_index(bars: Bars, *, period: int) -> tuple[Array]:
    """Commodity channel index (Lambert 1980): the typical price's distance from its mean, in units of 0.015 mean
    absolute deviations; 0 where every typical price of the window is the same.
    """
    return (talib().CCI(bars.high, bars.low, bars.close, timeperiod=period),)


@indicator("williamsr", period=period(14, 1, 100))
def williams_r(bars: Bars, *, period: int) -> tuple[Array]:
    """Williams' %R: the close within the range of `period` bars, -100 at its low and 0 at its high.

    Where that range is empty it is 0, as TA-Lib counts.
    """
    top = highest(bars.high, period)
    return (100.0 * divided(bars.close - top, top - lowest(bars.low, period), 0.0),)


@indicator(
    "stochastic",
    outputs=("k", "d"),
    k_period=period(14, 1, 100),
    d_period=period(3, 1, 20),
    smooth_k=period(3, 1, 20),
)
def stochastic(bars: Bars, *, k_period: int, d_period: int, smooth_k: int) -> tuple[Array, Array]:
    """Slow stochastic (Lane), 0 to 100: the close within the range of `k_period` bars, smoothed twice by plain means.

    Where that range is empty (high = low throughout), TA-Lib counts 0.
    """
    k, d = talib().STOCH(
        bars.high, bars.low, bars.close, fastk_period=k_period, slowk_period=smooth_k, slowd_period=d_period
    )
    return k, d
