"""The labels of one symbol's bars: what each bar is called, and how far ahead one must look to know it.

Imports numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Positions = NDArray[np.int64]
Flags = NDArray[np.bool_]

BUY, HOLD, SELL = 0.0, 1.0, 2.0


@dataclass(frozen=True, slots=True)
class BarLabels:
    """One entry per bar, oldest first."""

    #: The class number, or the number to forecast; NaN where a bar has no label.
    values: Array
    #: Position of the last bar that the label depends on (the bar itself where there is none), beside the parameters
    #: that are estimated for all bars.
    ends: Positions
    #: Weight of the bar as a sample, before it is brought to mean 1 over the train part; None = all alike.
    weights: Array | None = None
    #: Estimates were made of the bars before this position: a part that is not trained on begins at or after it.
    fitted_until: int = 0
