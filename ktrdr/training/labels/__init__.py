"""Label sources: what the model is taught to say of a bar. Imports numpy, pandas and the indicators.

To add a source, write one function over `Bars` and its line in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ktrdr.training.indicators.registry import Bars
from ktrdr.training.labels.bar_labels import BarLabels
from ktrdr.training.labels.barriers import triple_barrier
from ktrdr.training.labels.regime import regime
from ktrdr.training.labels.returns import context, forward_return
from ktrdr.training.labels.swings import zigzag
from ktrdr.training.strategy.model import Labels

__all__ = ["SOURCES", "BarLabels", "LabelSource", "label_bars"]


@dataclass(frozen=True, slots=True)
class LabelSource:
    compute: Callable[..., BarLabels]
    #: Names of the classes by number; empty where the label is a number to forecast.
    classes: tuple[str, ...]
    #: Whether some parameter can be estimated: `compute` then takes `fit_on`, the bars to estimate it from.
    is_fitted: bool = False


SOURCES = {
    "zigzag": LabelSource(zigzag, ("buy", "hold", "sell")),
    "forward_return": LabelSource(forward_return, ()),
    "context": LabelSource(context, ("bullish", "bearish", "neutral")),
    "triple_barrier": LabelSource(triple_barrier, ("buy", "hold", "sell"), is_fitted=True),
    "regime": LabelSource(regime, ("up", "down", "ranging", "volatile"), is_fitted=True),
}


def label_bars(labels: Labels, bars: Bars, fit_on: slice) -> BarLabels:
    """The labels of one symbol's bars by the source and parameters of the strategy.

    What the source estimates it estimates on the bars `fit_on` alone: those of the train part, as positions from a
    start to a stop.
    """
    source = SOURCES[labels.source]
    fitted = {"fit_on": fit_on} if source.is_fitted else {}
    return source.compute(bars, **fitted, **labels.params)
