"""Indicators of momentum: how fast the price moves, and where it stands in its recent range.

Imports the registry only; TA-Lib (https://ta-lib.org/functions/) computes, NaN stands before the warm-up.
"""

from __future__ import annotations

from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import SOURCE, Array, Bars, indicator, period


@indicator("rsi", period=period(14, 2, 100), source=SOURCE)
def rsi(bars: Bars, *, period: int, source: str) -> tuple[Array]:
    """Relative strength index, 0 to 100, by Wilder's smoothing (Wilder 1978, section VI)."""
    return (talib().RSI(bars.column(source), timeperiod=period),)


@indicator("roc", period=period(10, 1, 100), source=SOURCE)
def roc(bars: Bars, *, period: int, source: str) -> tuple[Array]:
    """Rate of change over `period` bars, in percent."""
    return (talib().ROC(bars.column(source), timeperiod=period),)


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
