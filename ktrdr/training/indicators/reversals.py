"""Indicators that follow the price until it turns: parabolic SAR, supertrend, and the zigzag's last pivot.

Imports the registry, TA-Lib, and the search for swings that labels use too. What such an indicator holds goes back to
the last turn, and so, at the start, to where the series starts.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import PRICE, Array, Bars, Parameter, indicator, multiplier, period
from ktrdr.training.swings import pivots_of

Flags = NDArray[np.bool_]


def _acceleration(default: float) -> Parameter:
    return Parameter(default=default, low=0.0, high=1.0, low_open=True)


@indicator(
    "parabolicsar",
    initial_af=_acceleration(0.02),
    step_af=_acceleration(0.02),
    max_af=_acceleration(0.2),
)
def parabolic_sar(bars: Bars, *, initial_af: float, step_af: float, max_af: float) -> tuple[Array]:
    """Parabolic stop and reverse, in units of the price (Wilder 1978, section II).

    The factor starts at `initial_af` (at most `max_af`) and grows by `step_af` with every new extreme, up to `max_af`.
    The first two bars decide which way the first trade goes.
    """
    stops = talib().SAREXT(
        bars.high,
        bars.low,
        accelerationinitlong=initial_af,
        accelerationlong=step_af,
        accelerationmaxlong=max_af,
        accelerationinitshort=initial_af,
        accelerationshort=step_af,
        accelerationmaxshort=max_af,
    )
    return (np.abs(stops),)  # TA-Lib gives the stops of short trades as negative.


@indicator("supertrend", outputs=("trend", "direction"), period=period(10, 1, 200), multiplier=multiplier(3.0))
def supertrend(bars: Bars, *, period: int, multiplier: float) -> tuple[Array, Array]:
    """Supertrend (Seban): the band that trails the price, and its direction, 1 below a rising and -1 above a falling.

    The bands lie `multiplier` average true ranges (Wilder) from the middle of the bar. Each only ever moves towards the
    price, until a close passes it: then it starts anew at the next bar. The trend turns at a close beyond the band
    that is shown; it is taken to rise at first.
    """
    middle = 0.5 * (bars.high + bars.low)
    width = multiplier * talib().ATR(bars.high, bars.low, bars.close, timeperiod=period)
    trend, direction = np.full_like(middle, np.nan), np.full_like(middle, np.nan)
    middle, width, close = middle[period:], width[period:], bars.close[period:]
    upper = _trailing(middle + width, close)
    lower = -_trailing(width - middle, -close)
    rising = _rising(close > upper, close < lower)
    trend[period:] = np.where(rising, lower, upper)
    direction[period:] = np.where(rising, 1.0, -1.0)
    return trend, direction


def _rising(above: Flags, below: Flags) -> Flags:
    """Whether the trend rises at each bar: a close above the upper band lets it rise, one below the lower band fall,
    and one beyond both, which a gap can bring about, turns it round."""
    decided = above != below
    last = np.maximum.accumulate(np.where(decided, np.arange(len(above)), -1))
    turned = np.cumsum(above & below)
    # Before the first decision, bar -1 stands for a rising start.
    rose, turned_then = np.append(above, True)[last], np.append(turned, 0)[last]
    turns: Flags = (turned - turned_then) % 2 == 1
    return rose ^ turns


def _trailing(bounds: Array, close: Array) -> Array:
    """The lowest of the bounds since the first bar after the last close above it.

    Only comparisons, so the lanes into which the series is cut do not show in the result. They are walked side by side,
    each as if it started anew, in as many steps as one lane has bars; then each is put right from its start until what
    it holds is what the lane before it left.
    """
    count = len(bounds)
    steps = math.isqrt(count) + 1
    lanes = -(-count // steps)
    limits, passers = np.full((lanes, steps), np.inf), np.full((lanes, steps), -np.inf)
    limits.reshape(-1)[:count], passers.reshape(-1)[1:count] = bounds, close[:-1]
    held = np.full((steps, lanes), np.inf)
    before = held[-1]
    for limit, passer, now in zip(limits.T.copy(), passers.T.copy(), held, strict=True):
        np.minimum(before, limit, out=now)
        np.copyto(now, limit, where=passer > before)
        before = now
    trailing = held.T.copy()
    for lane in range(1, lanes):
        _put_right(trailing[lane], trailing[lane - 1, -1], limits[lane], passers[lane])
    return trailing.reshape(-1)[:count]


#: Bars of a lane that are put right at a time; few need more.
_AT_ONCE = 200


def _put_right(held: Array, before: float, limits: Array, passers: Array) -> None:
    """Overwrites what one lane holds by what follows from `before`, up to where both are the same."""
    start = 0
    while start < len(held):
        part = slice(start, start + _AT_ONCE)
        now = np.minimum.accumulate(limits[part])
        np.minimum(now, before, out=now)
        ends = passers[part] > np.append(before, now[:-1])
        anew = int(ends.argmax()) if ends.any() else len(now)
        same = held[part] == now
        met = int(same.argmax()) if same.any() else len(now)
        length = min(anew, met)
        held[start : start + length] = now[:length]
        if met < anew:
            return
        if anew == len(now):
            start, before = start + anew, now[-1]
            continue
        start += anew
        before = limits[start]
        if held[start] == before:
            return
        held[start] = before
        start += 1


@indicator("zigzag", threshold=Parameter(default=0.05, low=0.0, high=1.0, low_open=True, high_open=True), source=PRICE)
def zigzag(bars: Bars, *, threshold: float, source: str) -> tuple[Array]:
    """The price at the last pivot that was confirmed by then: NaN until the first is.

    A pivot is a high or low from which the price went back by `threshold` (a fraction), and the bar at which it did
    confirms it. The first bar of the series, from which the first leg is measured, is none. A fraction has a meaning
    above zero only: from the first bar that is not above it (context data may fall so low) everything is NaN.
    """
    values = bars.column(source)
    result = np.full_like(values, np.nan)
    low = np.flatnonzero(values <= 0.0)
    count = int(low[0]) if len(low) > 0 else len(values)
    if count > 0:
        pivots, confirmed = (found[1:-1] for found in pivots_of(values[:count], threshold))
        lengths = np.diff(confirmed, append=count)
        result[count - lengths.sum() : count] = np.repeat(values[pivots], lengths)
    return (result,)
