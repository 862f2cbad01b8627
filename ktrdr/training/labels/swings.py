"""Labels by the swing that a bar is part of. Imports numpy only."""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators.registry import Bars
from ktrdr.training.labels.bar_labels import BUY, HOLD, SELL, BarLabels
from ktrdr.training.swings import pivots_of


def zigzag(bars: Bars, *, zigzag_threshold: float) -> BarLabels:
    """Buy strictly inside a rising leg, sell inside a falling one, hold on the pivots and after the last one.

    Inside a leg a label is known once the leg has gone further, at its far end at the latest; that of a pivot only once
    a reversal confirms it. What follows the last pivot, and an unconfirmed pivot itself, depend on all bars.
    """
    close = bars.close
    count = len(close)
    values = np.full(count, HOLD)
    if count == 0:
        return BarLabels(values, np.arange(0))
    pivots, confirmed = pivots_of(close, zigzag_threshold)
    legs = np.diff(pivots, append=count)
    rises = close[pivots[1:]] > close[pivots[:-1]]
    values = np.repeat(np.append(np.where(rises, BUY, SELL), HOLD), legs)
    values[pivots] = HOLD
    ends = np.repeat(np.append(pivots[1:], count - 1), legs)
    ends[pivots] = confirmed
    return BarLabels(values, ends)
