"""Section 8: what the model's outputs mean as buy, hold or sell. Imports numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.strategy.model import CostModel

Floats = NDArray[np.float64]
Names = NDArray[np.str_]


def decide_by_class(probabilities: Floats, classes: tuple[str, ...], confidence_threshold: float) -> Names:
    """The most probable class of each row of (rows, classes), or hold where its probability is below the threshold."""
    sure = probabilities.max(axis=1) >= confidence_threshold
    return np.where(sure, np.array(classes)[probabilities.argmax(axis=1)], "hold")


def decide_by_forecast(returns: Floats, costs: CostModel) -> Names:
    """Buy above what a trade costs times the edge it must have, sell below the negative of that, else hold."""
    edge = costs.round_trip_cost * costs.min_edge_multiplier
    return np.select([returns > edge, returns < -edge], ["buy", "sell"], "hold")
