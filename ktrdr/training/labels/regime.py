"""Labels by the regime that the market is in: trending up or down, ranging, or volatile. Imports numpy only."""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators.registry import Bars
from ktrdr.training.indicators.volatility import average_true_range
from ktrdr.training.labels.bar_labels import Array, BarLabels, Flags, Positions
from ktrdr.training.swings import pivots_of

UP, DOWN, RANGING, VOLATILE = 0.0, 1.0, 2.0, 3.0

#: A variance so small beside the mean square is the rounding of sums: the returns are all alike.
_ROUNDING = 1e-9


def regime(
    bars: Bars,
    *,
    fit_on: slice,
    macro_atr_mult: float,
    micro_atr_mult: float,
    atr_period: int,
    vol_lookback: int,
    vol_crisis_threshold: float,
    progression_tolerance: float,
) -> BarLabels:
    """Up or down inside a macro leg that trends, ranging inside another, volatile where the volatility soon multiplies.

    The legs are those of zigzags at `macro_atr_mult` and `micro_atr_mult` times the median of the average true range
    over the median close, both within `fit_on`. A rising macro leg trends if at least the share `progression_tolerance`
    of its steps from one micro low to the next rises; a falling one likewise by its micro highs; one without such a
    step has shown no progress and ranges. A bar is volatile if the deviation of the next `atr_period` log
    returns passes `vol_crisis_threshold` times that of the last `vol_lookback`; where one of the two is not complete,
    it is not.

    A pivot belongs to the leg that it begins, the last one to the leg that it ends. Bars after it have no label, and
    none has one if the price never swings or `fit_on` has no average true range above 0.

    A leg's label is known once a reversal confirms its end. That a bar is volatile needs the leg's end only to know
    that the bar lies in a leg.
    """
    close = bars.close
    count = len(close)
    values, ends = np.full(count, np.nan), np.arange(count)
    width = _typical_range(bars, fit_on, atr_period)
    if not width > 0.0:
        return BarLabels(values, ends)
    pivots, confirmed = pivots_of(close, macro_atr_mult * width)
    if len(pivots) < 2:
        return BarLabels(values, ends)
    micro, _ = pivots_of(close, micro_atr_mult * width)
    rises = close[pivots[1:]] > close[pivots[:-1]]
    trends = _progress(close, micro, pivots, rises) >= progression_tolerance
    lengths = np.diff(pivots)
    lengths[-1] += 1
    stop = pivots[-1] + 1
    volatile = _volatile(close, atr_period, vol_lookback, vol_crisis_threshold)[:stop]
    of_leg = np.repeat(np.where(trends, np.where(rises, UP, DOWN), RANGING), lengths)
    values[:stop] = np.where(volatile, VOLATILE, of_leg)
    ends[:stop] = np.where(volatile, np.repeat(pivots[1:], lengths), np.repeat(confirmed[1:], lengths))
    ahead = np.minimum(np.arange(vol_lookback, stop) + atr_period, count - 1)
    np.maximum(ends[vol_lookback:stop], ahead, out=ends[vol_lookback:stop])
    return BarLabels(values, ends, fitted_until=fit_on.stop)


def _typical_range(bars: Bars, fit_on: slice, period: int) -> float:
    """The median average true range over the median close; NaN if no range is known yet.

    The range is as of each bar, so the bars before `fit_on` warm it up.
    """
    (ranges,) = average_true_range(bars, period=period)
    known = ranges[fit_on][~np.isnan(ranges[fit_on])]
    return float(np.median(known) / np.median(bars.close[fit_on])) if len(known) else np.nan


def _progress(close: Array, micro: Positions, macro: Positions, rises: Flags) -> Array:
    """For each macro leg the share of its steps from micro low to micro low, or high to high in a falling one, that go
    the leg's way; NaN if there is no step."""
    # A micro pivot counts in the leg that begins at it or before it.
    leg = macro.searchsorted(micro, side="right") - 1
    is_low = np.append(close[micro[1:]] > close[micro[:-1]], close[micro[-1]] < close[micro[-2]])
    inside = leg < len(rises)
    inside[inside] = is_low[inside] == rises[leg[inside]]
    leg, price = leg[inside], close[micro[inside]]
    one_leg = leg[1:] == leg[:-1]
    # A step between equal prices goes neither way.
    goes_on = one_leg & ((price[1:] > price[:-1]) == rises[leg[1:]]) & (price[1:] != price[:-1])
    steps = np.bincount(leg[1:][one_leg], minlength=len(rises))
    shares = np.full(len(rises), np.nan)
    np.divide(np.bincount(leg[1:][goes_on], minlength=len(rises)), steps, out=shares, where=steps > 0)
    return shares


def _volatile(close: Array, ahead: int, lookback: int, threshold: float) -> Flags:
    """Whether the deviation of the next `ahead` log returns passes `threshold` times that of the last `lookback`."""
    count = len(close)
    volatile = np.zeros(count, dtype=bool)
    if count > lookback + ahead:
        returns = np.diff(np.log(close))
        after, before = _deviations(returns, ahead), _deviations(returns, lookback)
        # Entry i of either starts with the return from bar i to the next: bars from `lookback` on know both.
        volatile[lookback : count - ahead] = after[lookback:] > threshold * before[: count - ahead - lookback]
    return volatile


def _deviations(returns: Array, window: int) -> Array:
    """The standard deviation of each `window` consecutive returns; exactly 0 where they are alike."""
    total, squares = np.cumsum(returns), np.cumsum(returns * returns)
    total[window:] -= total[:-window].copy()
    squares[window:] -= squares[:-window].copy()
    square_sum, total = squares[window - 1 :], total[window - 1 :]
    variances = square_sum - total * total / window
    variances[variances <= _ROUNDING * square_sum] = 0.0
    variances /= window - 1
    return np.sqrt(variances, out=variances)
