"""Label sources: what the model is taught to say of a bar. Imports numpy and pandas.

To add a source, write one function over `Bars` and its line in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ktrdr.training.indicators.registry import Bars
from ktrdr.training.labels.bar_labels import BarLabels
from ktrdr.training.labels.barriers import triple_barrier
from ktrdr.training.labels.returns import forward_return
from ktrdr.training.labels.swings import zigzag
from ktrdr.training.strategy.model import Labels

__all__ = ["SOURCES", "BarLabels", "LabelSource", "label_bars"]


@dataclass(frozen=True, slots=True)
class LabelSource:
    compute: Callable[..., BarLabels]
    #: Names of the classes by number; empty where the label is a number to forecast.
    classes: tuple[str, ...]


SOURCES = {
    "zigzag": LabelSource(zigzag, ("buy", "hold", "sell")),
    "forward_return": LabelSource(forward_return, ()),
    "triple_barrier": LabelSource(triple_barrier, ("buy", "hold", "sell")),
}


def label_bars(labels: Labels, bars: Bars) -> BarLabels:
    """The labels of one symbol's bars by the source and parameters of the strategy."""
    return SOURCES[labels.source].compute(bars, **labels.params)
