"""Labels by the barrier that the price touches first (López de Prado, Advances in Financial Machine Learning, 2018,
chapters 3 and 4). Imports numpy, and pandas for the exponential means.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ktrdr.training.indicators.registry import Bars
from ktrdr.training.labels.bar_labels import HOLD, Array, BarLabels, Positions
from ktrdr.training.labels.events import automatic_threshold, cusum_events

#: Counts of bars, at most the horizon and one: half the memory of positions.
Steps = NDArray[np.int32]

#: Bars worked on together: the tables of one block stay in the processor's cache, whatever the length of the series.
_BLOCK = 1 << 14


def triple_barrier(
    bars: Bars,
    *,
    fit_on: slice,
    pt_multiplier: float,
    sl_multiplier: float,
    max_holding_period: int,
    vol_span: int,
    vol_method: str,
    compute_weights: bool,
    cusum_threshold: float | None = None,
    cusum_multiplier: float = 0.5,
) -> BarLabels:
    """Buy where the upper barrier is touched first within `max_holding_period` bars, sell where the lower one is.

    The barriers lie `pt_multiplier` and `sl_multiplier` volatilities from the close. Both touched in one bar: that
    bar's close against the entry decides. None touched: the sign of the return over the period, or hold if its size
    is below half the volatility times the root of the period. The last `max_holding_period` bars have no label.

    With a `cusum_threshold` only the events of the CUSUM filter have one, and a weight counts no other labels. At or
    below 0 it is automatic: `cusum_multiplier` standard deviations of the log returns within `fit_on`.
    """
    count = len(bars.close)
    labelled = max(0, count - max_holding_period)
    volatility = _volatility(bars, vol_span, vol_method)[:labelled]
    direction, steps = _outcomes(bars, volatility, pt_multiplier, sl_multiplier, max_holding_period)
    known = ~np.isnan(volatility)
    fitted_until = 0
    if cusum_threshold is not None:
        if cusum_threshold <= 0.0:
            cusum_threshold = automatic_threshold(bars.close, fit_on, cusum_multiplier)
            fitted_until = fit_on.stop
        known &= cusum_events(bars.close, cusum_threshold)[:labelled]
    values = np.full(count, np.nan)
    values[:labelled] = np.where(known, HOLD - direction, np.nan)
    ends = np.arange(count)
    ends[:labelled] += np.where(known, steps, 0)
    return BarLabels(values, ends, uniqueness(values, ends) if compute_weights else None, fitted_until)


def _outcomes(
    bars: Bars, volatility: Array, pt_multiplier: float, sl_multiplier: float, horizon: int
) -> tuple[Array, Steps]:
    """For each bar of `volatility` whether the trade rises (1), falls (-1) or neither, and after how many bars it ends.

    Needs `horizon` more bars than there are volatilities.
    """
    close = bars.close[: len(volatility)]
    above = _first_reaching(bars.high, close * (1.0 + pt_multiplier * volatility), horizon)
    below = _first_reaching(-bars.low, -close * (1.0 - sl_multiplier * volatility), horizon)
    steps = np.minimum(np.minimum(above, below), horizon)
    returns = bars.close[np.arange(len(close)) + steps] / close - 1.0
    direction = np.sign(returns)
    untouched = (above > horizon) & (below > horizon)
    direction[untouched & (np.abs(returns) < volatility * np.sqrt(horizon) / 2.0)] = 0.0
    direction[above < below] = 1.0
    direction[below < above] = -1.0
    return direction, steps


def uniqueness(values: Array, ends: Positions) -> Array:
    """The mean of 1 / concurrency over each label's span, from its bar to its end; 0 for a bar without a label.

    The concurrency of a bar is the number of labels whose span holds it.
    """
    count = len(values)
    starts = np.flatnonzero(~np.isnan(values))
    stops = ends[starts] + 1
    opened = np.bincount(starts, minlength=count + 1)
    closed = np.bincount(stops, minlength=count + 1)
    concurrency = np.cumsum(opened - closed)[:count]
    share = np.divide(1.0, concurrency, out=np.zeros(count), where=concurrency > 0)
    total = np.concatenate(([0.0], np.cumsum(share)))
    weights = np.zeros(count)
    weights[starts] = (total[stops] - total[starts]) / (stops - starts)
    return weights


def _volatility(bars: Bars, span: int, method: str) -> Array:
    """Exponentially weighted per-bar volatility as a fraction of the price: of the ranges, or of the log returns."""
    if method == "atr":
        return pd.Series((bars.high - bars.low) / bars.close).ewm(span=span).mean().to_numpy()
    return pd.Series(np.log(bars.close)).diff().ewm(span=span).std().to_numpy()


def _first_reaching(values: Array, bounds: Array, horizon: int) -> Steps:
    """For each bar i of `bounds`, the smallest h in 1..horizon with values[i + h] >= bounds[i]; else horizon + 1.

    Needs len(values) >= len(bounds) + horizon.
    """
    steps = np.empty(len(bounds), dtype=np.int32)
    for start in range(0, len(bounds), _BLOCK):
        block = bounds[start : start + _BLOCK]
        ahead = values[start + 1 : start + len(block) + horizon]
        steps[start : start + len(block)] = _first_reaching_in_block(ahead, block, horizon)
    return steps


def _first_reaching_in_block(ahead: Array, bounds: Array, horizon: int) -> Positions:
    """The same for one block, where ahead[i] is the bar after bar i.

    Doubling: the highest values of the next 1, 2, 4, ... bars are tabled once. Each bar then skips the longest stretch
    that stays below its bound, then the next shorter one, and stands before the first bar that reaches it after
    log2(horizon) steps, all bars at once.
    """
    levels = horizon.bit_length()
    padded = np.full(len(bounds) + (1 << levels), -np.inf)
    padded[: len(ahead)] = ahead
    highest = [padded]
    for level in range(levels - 1):
        half = 1 << level
        highest.append(np.maximum(highest[-1][:-half], highest[-1][half:]))
    here = np.arange(len(bounds))
    position = here.copy()
    for level in reversed(range(levels)):
        position += (highest[level][position] < bounds) * (1 << level)
    steps: Positions = np.minimum(position - here, horizon) + 1
    return steps
