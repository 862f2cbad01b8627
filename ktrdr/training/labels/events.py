"""Events: the bars at which enough has happened to be worth a sample. Imports numpy only."""

from __future__ import annotations

import numpy as np

from ktrdr.training.labels.bar_labels import Array, Flags, Positions
from ktrdr.training.passages import next_passages, walk


def cusum_events(close: Array, threshold: float) -> Flags:
    """Whether each bar is an event of the symmetric CUSUM filter (López de Prado, Advances in Financial Machine
    Learning, 2018, section 2.5.2.1).

    Two sums of the log returns are kept, one never below and one never above zero; an event is a bar that takes one of
    them further than `threshold` from zero, and that sum starts again at zero. No bar is one if the threshold is NaN.

    A sum is the distance of the log price from its lowest (highest) since the last event of that side, so the next
    event is the first bar that lies further than the threshold from any bar since.
    """
    events = np.zeros(len(close), dtype=bool)
    if len(close) > 1:
        logarithm = np.log(close)
        events[_rises(logarithm, threshold)] = True
        events[_rises(-logarithm, threshold)] = True
    return events


def automatic_threshold(close: Array, fit_on: slice, multiplier: float) -> float:
    """`multiplier` standard deviations of one bar's log return within `fit_on`; NaN if that has not two returns.

    One number for all bars, as a threshold in the file is: bars of calm times are then rarely events, which is what
    the filter is for. A volatility that follows the market would make them as frequent as any others.
    """
    returns = np.diff(np.log(close[fit_on]))
    return multiplier * float(returns.std(ddof=1)) if len(returns) > 1 else np.nan


def _rises(series: Array, threshold: float) -> Positions:
    """The bars at which the series lies more than `threshold` above its lowest since the last such bar."""
    bounds = np.nextafter(series[:-1] + threshold, np.inf)
    # A sum that starts at bar s makes bar following[s] the next event; there is none at len(series).
    following = np.append(next_passages(series[1:], bounds) + 1, len(series))
    return walk(following, 0)[1:]
