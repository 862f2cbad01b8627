"""The indicator types, one module per family, and the one way to compute one.

Importing this package imports neither pandas nor torch: the grammar reads `REGISTRY` to validate a file.
"""

from __future__ import annotations

from ktrdr.training.indicators import momentum, trend, volatility
from ktrdr.training.indicators.registry import REGISTRY, Array, Bars, IndicatorType, Parameter, find
from ktrdr.training.strategy.model import Indicator

__all__ = [
    "REGISTRY",
    "Array",
    "Bars",
    "IndicatorType",
    "Parameter",
    "compute",
    "find",
    "momentum",
    "trend",
    "volatility",
]


def compute(indicator: Indicator, bars: Bars) -> dict[str, Array]:
    """The indicator's columns, each as long as the bars: `<id>`, and `<id>.<output>` where it has several outputs.

    A value at bar t uses bars up to t only, and is NaN until enough bars are there; too short a series is all NaN.
    """
    kind = REGISTRY[indicator.type]
    arrays = kind.compute(bars, **indicator.params)
    columns = {indicator.id: arrays[0]}
    columns.update({f"{indicator.id}.{name}": array for name, array in zip(kind.outputs, arrays, strict=False)})
    return columns
