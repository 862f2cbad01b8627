"""The indicator types, one module per family, and the one way to compute one.

Importing this package imports neither pandas nor torch: the grammar reads `REGISTRY` to validate a file.
"""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators import channels, momentum, oscillators, reversals, trend, volatility, volume
from ktrdr.training.indicators.registry import REGISTRY, Array, Bars, IndicatorType, Parameter, find
from ktrdr.training.strategy.model import Indicator

__all__ = [
    "REGISTRY",
    "Array",
    "Bars",
    "IndicatorType",
    "Parameter",
    "channels",
    "compute",
    "find",
    "momentum",
    "oscillators",
    "reversals",
    "trend",
    "volatility",
    "volume",
    "warm_up_bars",
]


def compute(indicator: Indicator, bars: Bars) -> dict[str, Array]:
    """The indicator's columns, each as long as the bars: `<id>`, and `<id>.<output>` where it has several outputs.

    A value at bar t uses bars up to t only. It is NaN until enough bars are there (too short a series is all NaN), and
    where the arithmetic leaves the range of numbers; it is never infinite. Bars that start with NaN give what the bars
    after that would give alone.
    """
    kind = REGISTRY[indicator.type]
    count, first = len(bars.close), bars.known_from()
    arrays = [np.full(count, np.nan) for _ in kind.outputs or ("",)]
    if first < count:
        with np.errstate(all="ignore"):
            computed = kind.compute(bars.since(first), **indicator.params)
        for array, values in zip(arrays, computed, strict=True):
            np.copyto(array[first:], values, where=np.isfinite(values))
    columns = {indicator.id: arrays[0]}
    columns.update({f"{indicator.id}.{name}": array for name, array in zip(kind.outputs, arrays, strict=False)})
    return columns


def warm_up_bars(indicator: Indicator) -> int:
    """The number of bars before the first at which every output of the indicator is known.

    Found by computing it on prices that swing widely. Zigzag has its first value once a pivot is confirmed: the number
    is then the least there can be.
    """
    whole = [value for value in indicator.params.values() if isinstance(value, int)]
    # No definition chains more than two of its periods, or one of them with a fixed one of 21 bars or less.
    count = 2 * sum(whole) + 50
    low = np.where(np.arange(count) % 2 == 0, 1.0, 1e9)
    swings = Bars(open=low, high=2.0 * low, low=low, close=1.5 * low, volume=np.ones(count))
    return max(int(np.isnan(array).sum()) for array in compute(indicator, swings).values())
