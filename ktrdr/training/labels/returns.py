"""Labels by the return over the next bars. Imports numpy only."""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators.registry import Bars
from ktrdr.training.labels.bar_labels import BarLabels


def forward_return(bars: Bars, *, horizon: int) -> BarLabels:
    """close[t + horizon] / close[t] - 1, a fraction; the last `horizon` bars have no label."""
    count = len(bars.close)
    values = np.full(count, np.nan)
    ends = np.arange(count)
    labelled = max(0, count - horizon)
    values[:labelled] = bars.close[horizon:] / bars.close[:labelled] - 1.0
    ends[:labelled] += horizon
    return BarLabels(values, ends)
