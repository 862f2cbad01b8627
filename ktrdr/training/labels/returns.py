"""Labels by the return over the next bars. Imports numpy only."""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators.registry import Bars
from ktrdr.training.labels.bar_labels import BarLabels

BULLISH, BEARISH, NEUTRAL = 0.0, 1.0, 2.0


def forward_return(bars: Bars, *, horizon: int) -> BarLabels:
    """close[t + horizon] / close[t] - 1, a fraction; the last `horizon` bars have no label."""
    count = len(bars.close)
    values = np.full(count, np.nan)
    ends = np.arange(count)
    labelled = max(0, count - horizon)
    values[:labelled] = bars.close[horizon:] / bars.close[:labelled] - 1.0
    ends[:labelled] += horizon
    return BarLabels(values, ends)


def context(bars: Bars, *, horizon: int, bullish_threshold: float, bearish_threshold: float) -> BarLabels:
    """Bullish where the forward return is above its threshold, bearish where it is below its own, else neutral."""
    returns = forward_return(bars, horizon=horizon)
    values = np.where(np.isnan(returns.values), np.nan, NEUTRAL)
    values[returns.values > bullish_threshold] = BULLISH
    values[returns.values < bearish_threshold] = BEARISH
    return BarLabels(values, returns.ends)
