"""Ehlers' oscillators: the relative vigor index and the Fisher transform of the price.

Imports the registry, TA-Lib and window arithmetic; NaN stands before the warm-up.
"""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators._series import divided, highest, lagged, lowest, total
from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import Array, Bars, indicator, period


@indicator("rvi", outputs=("rvi", "signal"), period=period(10, 4, 100), signal_period=period(4, 1, 50))
def relative_vigor_index(bars: Bars, *, period: int, signal_period: int) -> tuple[Array, Array]:
    """Relative vigor index (Ehlers 2002), -1 to 1: how much of the bars' ranges the way from open to close makes up.

    Both are weighted 1, 2, 2, 1 over four bars and summed over `period`; 0 where no bar has a range. The signal is the
    triangular mean of `signal_period` values, whose weights at 4 are 1, 2, 2, 1 again.
    """
    ways = total(_symmetric(bars.close - bars.open), period)
    ranges = total(_symmetric(bars.high - bars.low), period)
    vigor = divided(ways, ranges, 0.0)
    return vigor, vigor.copy() if signal_period == 1 else talib().TRIMA(vigor, timeperiod=signal_period)


def _symmetric(values: Array) -> Array:
    """The sum of each value and the three before it, the middle two counted twice."""
    result = np.full_like(values, np.nan)
    result[3:] = values[:-3] + 2.0 * values[1:-2] + 2.0 * values[2:-1] + values[3:]
    return result


@indicator("fishertransform", outputs=("fisher", "signal"), period=period(10, 2, 100), smoothing=period(3, 1, 20))
def fisher_transform(bars: Bars, *, period: int, smoothing: int) -> tuple[Array, Array]:
    """Fisher transform of the price (Ehlers, Stocks & Commodities, November 2002), and its value one bar ago.

    The middle of the bar is placed between -1 and 1 within the lowest and highest middle of `period` bars (0 where they
    are equal), smoothed, kept off the ends, and turned into ln((1 + x) / (1 - x)), of which the exponential mean of
    `smoothing` values is taken: 3 gives the weights of one half of the original.
    """
    middle = 0.5 * (bars.high + bars.low)
    bottom = lowest(middle, period)
    position = 2.0 * divided(middle - bottom, highest(middle, period) - bottom, 0.5) - 1.0
    transformed = np.full_like(position, np.nan)
    transformed[period - 1 :] = 2.0 * np.arctanh(_kept_off_the_ends(position[period - 1 :]))
    fisher = transformed if smoothing == 1 else talib().EMA(transformed, timeperiod=smoothing)
    return fisher, lagged(fisher, 1)


#: The smoothing of Ehlers' position: the newest weighs a third; what passes .99 is put to .999 and remembered so.
_NEWEST, _NEAR_THE_END, _END = 0.33, 0.99, 0.999

#: What a position still weighs after so many bars, .67 to this power, is below the last bit.
_MEMORY = 128
_LANE = 256


def _kept_off_the_ends(position: Array) -> Array:
    """Ehlers' smoothed position, strictly between -1 and 1, from 0 before the first bar.

    The jump to the end feeds back, so one value needs the one before. The series is cut into lanes of a fixed length
    that are walked side by side, each from so far before its first bar that nothing older matters: the number of steps
    is the same for any series.
    """
    lanes = max(1, -(-len(position) // _LANE))
    padded = np.zeros(_MEMORY + lanes * _LANE)
    padded[_MEMORY : _MEMORY + len(position)] = _NEWEST * position
    steps = np.lib.stride_tricks.sliding_window_view(padded, _MEMORY + _LANE)[::_LANE].T
    smoothed = np.empty((_MEMORY + _LANE, lanes))
    state = np.zeros(lanes)
    for newest, now in zip(steps, smoothed, strict=True):
        np.multiply(state, 1.0 - _NEWEST, out=now)
        np.add(now, newest, out=now)
        np.copyto(now, _END, where=now > _NEAR_THE_END)
        np.copyto(now, -_END, where=now < -_NEAR_THE_END)
        state = now
    return smoothed[_MEMORY:].T.reshape(-1)[: len(position)]
