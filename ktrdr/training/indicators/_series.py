"""What many indicators need of a series: windows, lags and divisions. Imports numpy and TA-Lib.

A sum is of the bars in the window alone. Nothing is carried along from older ones, as in TA-Lib's running sums, so a
sum of zeros is zero whatever went before, and a quotient of two sums stays within its bounds.
"""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import Array


def highest(values: Array, period: int) -> Array:
    """The highest of the last `period` values."""
    return values.copy() if period == 1 else talib().MAX(values, timeperiod=period)


def lowest(values: Array, period: int) -> Array:
    """The lowest of the last `period` values."""
    return values.copy() if period == 1 else talib().MIN(values, timeperiod=period)


def total(values: Array, period: int) -> Array:
    """The sum of the last `period` values, NaN until there are as many.

    Blocks of one period, counted from the first bar: a window is the end of one block and the start of the next, so two
    running sums per block are enough, whatever the period (as van Herk 1992 does for extremes). The last block is
    filled up with NaN, which reaches no window of real bars.
    """
    blocks = np.full((-(-len(values) // period), period), np.nan)
    blocks.reshape(-1)[: len(values)] = values
    heads = np.add.accumulate(blocks, axis=1)
    tails = np.add.accumulate(blocks[:, ::-1], axis=1)[:, ::-1]
    heads[1:, :-1] += tails[:-1, 1:]
    heads[:1, :-1] = np.nan
    return heads.reshape(-1)[: len(values)]


def lagged(values: Array, bars: int) -> Array:
    """Each value `bars` later than it became known; NaN at the first `bars`."""
    result = np.full_like(values, np.nan)
    result[bars:] = values[: max(0, len(values) - bars)]
    return result


def divided(numerator: Array, denominator: Array, otherwise: float) -> Array:
    """The quotient, and `otherwise` where the denominator is 0; what is not known yet stays unknown."""
    result = np.full_like(numerator, otherwise)
    np.divide(numerator, denominator, out=result, where=(denominator != 0.0) | np.isnan(numerator))
    return result
