"""Labels by the swing that a bar is part of. Imports numpy only."""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators.registry import Bars
from ktrdr.training.labels.bar_labels import BUY, HOLD, SELL, Array, BarLabels, Positions

#: Bars looked at first when the next reversal is searched; doubled until it is found.
_WINDOW = 32


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


def pivots_of(close: Array, threshold: float) -> tuple[Positions, Positions]:
    """Positions of the alternating extremes of `close`, and of the bar at which each became certain.

    The first bar counts as the first pivot. Each further one lies at least `threshold` (a fraction of the price) from
    the one before; it is confirmed at the first bar that lies as far back again. The last pivot may be unconfirmed: its
    confirmation is then the last bar.

    Which bar starts a leg depends on where the one before ended, so this goes from reversal to reversal (a handful of
    array operations each), never from bar to bar.
    """
    last = len(close) - 1
    pivots, confirmed = [0], [0]
    far = (close >= close[0] * (1.0 + threshold)) | (close <= close[0] * (1.0 - threshold))
    reversal = int(far.argmax()) if far.any() else None
    rising = reversal is not None and close[reversal] > close[0]
    mirrored = -close
    while reversal is not None:
        start = reversal
        # A falling leg is a rising one of the mirrored series, whose bound lies 1 + threshold times as far from zero.
        series, factor = (close, 1.0 - threshold) if rising else (mirrored, 1.0 + threshold)
        reversal = _first_reversal(series, start, factor)
        stop = last + 1 if reversal is None else reversal
        pivots.append(start + int(series[start:stop].argmax()))
        confirmed.append(last if reversal is None else reversal)
        rising = not rising
    return np.array(pivots), np.array(confirmed)


def _first_reversal(series: Array, start: int, factor: float) -> int | None:
    """The first bar after `start` that lies at or below `factor` times the highest value since `start`."""
    highest = series[start]
    window = _WINDOW
    while start < len(series):
        part = series[start : start + window]
        bounds = np.maximum.accumulate(part)
        np.maximum(bounds, highest, out=bounds)
        highest = bounds[-1]
        bounds *= factor
        reversed_here = part <= bounds
        first = int(reversed_here.argmax())
        if reversed_here[first]:
            return start + first
        start += window
        window *= 2
    return None
