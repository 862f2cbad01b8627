"""Indicators of volume: how much trading stands behind a move of the price.

Imports the registry, TA-Lib (https://ta-lib.org/functions/) and window arithmetic; NaN stands before the warm-up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.indicators._series import divided, lagged, total
from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import Array, Bars, Parameter, indicator, period


@indicator("mfi", period=period(14, 1, 100))
def money_flow_index(bars: Bars, *, period: int) -> tuple[Array]:
    """Money flow index, 0 to 100: the share of typical price times volume that fell on bars whose typical price rose,
    among those where it changed, over `period` bars; 0 where nothing was traded at a changed price.

    TA-Lib has the same from running sums, in which small volumes after huge ones are lost.
    """
    typical = bars.typical()
    flow = typical * bars.volume
    change = typical - lagged(typical, 1)
    # Times NaN, the first bar, which has no change, keeps every window out that it is in.
    risen, changed = (total(flow * kind, period) for kind in (_flags(change > 0, change), _flags(change != 0, change)))
    return (100.0 * divided(risen, changed, 0.0),)


def _flags(condition: NDArray[np.bool_], known: Array) -> Array:
    """1 where the condition holds and 0 where not; NaN where it is not known."""
    return np.where(np.isnan(known), np.nan, condition)


@indicator("obv")
def on_balance_volume(bars: Bars) -> tuple[Array]:
    """On-balance volume (Granville 1963): the running sum of the volume, counted by the sign of the close's change.

    It starts from the volume of the first bar, so its level depends on where the series starts; its changes do not.
    """
    return (talib().OBV(bars.close, bars.volume),)


@indicator("vwap", period=period(20, 0, 200), use_typical_price=Parameter(default=True))
def volume_weighted_average_price(bars: Bars, *, period: int, use_typical_price: bool) -> tuple[Array]:
    """The mean of the last `period` typical prices (or closes), weighted by volume; the plain mean where none traded.

    Period 0 means since the start, wherever the series starts, with a value from the first bar on.
    """
    price = bars.typical() if use_typical_price else bars.close
    if period == 0:
        prices, values, volumes = (np.cumsum(x) for x in (price, price * bars.volume, bars.volume))
        plain = prices / np.arange(1, len(price) + 1)
    else:
        prices, values, volumes = (total(x, period) for x in (price, price * bars.volume, bars.volume))
        plain = prices / period
    return (np.where(volumes == 0.0, plain, divided(values, volumes, 0.0)),)


@indicator("volumeratio", period=period(20, 2, 100))
def volume_ratio(bars: Bars, *, period: int) -> tuple[Array]:
    """The volume over the plain mean of the last `period` volumes; 1 where nothing was traded in all of them."""
    return (divided(bars.volume, total(bars.volume, period) / period, 1.0),)


@indicator(
    "cmf",
    outputs=("cmf", "mf_multiplier", "mf_volume", "momentum", "signal", "histogram", "above_zero", "below_zero"),
    period=period(21, 2, 500),
)
def chaikin_money_flow(bars: Bars, *, period: int) -> tuple[Array, ...]:
    """Chaikin money flow, -1 to 1: the money flow volume of `period` bars over their volume; 0 where none was traded.

    The money flow multiplier places the close between the low, -1, and the high, 1, of its bar (0 where they are
    equal); times the volume it is the money flow volume. Further: the flow's change over 5 bars, its exponential mean
    of 9 values and its distance from that, and whether it is above or below zero, as 1 and 0.
    """
    placed = _money_flow_multiplier(bars)
    moved = placed * bars.volume
    flow = divided(total(moved, period), total(bars.volume, period), 0.0)
    signal = talib().EMA(flow, timeperiod=9)
    above, below = _flags(flow > 0, flow), _flags(flow < 0, flow)
    return flow, placed, moved, flow - lagged(flow, 5), signal, flow - signal, above, below


@indicator(
    "adline",
    outputs=("line", "mf_multiplier", "mf_volume", "roc_10", "momentum_21", "relative_strength"),
    smoothing_period=period(21, 2, 200),
)
def accumulation_distribution_line(bars: Bars, *, smoothing_period: int) -> tuple[Array, ...]:
    """Accumulation/distribution line (Chaikin): the running sum of the money flow volume (see cmf) since the start of
    the series, on which its level and everything relative to it depend; its changes do not.

    Further: the line's change over 10 bars in percent (0 where it was 0 then) and over 21 bars, and its distance from
    the plain mean of its last `smoothing_period` values, in percent of that mean (0 where that is 0).
    """
    placed = _money_flow_multiplier(bars)
    moved = placed * bars.volume
    line = np.cumsum(moved)
    average = total(line, smoothing_period) / smoothing_period
    strength = 100.0 * divided(line - average, average, 0.0)
    return line, placed, moved, talib().ROC(line, timeperiod=10), line - lagged(line, 21), strength


def _money_flow_multiplier(bars: Bars) -> Array:
    return divided((bars.close - bars.low) - (bars.high - bars.close), bars.high - bars.low, 0.0)
