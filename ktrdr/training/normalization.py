"""Normalisation of raw features: fitted on the train part, saved with the model, applied everywhere. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.strategy.model import Normalization

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """x becomes (x - offset) / scale."""

    method: Normalization
    offset: float
    scale: float

    def apply(self, values: Array) -> Array:
        if self.method == "none":
            return values
        return (values - self.offset) / self.scale


def fit(method: Normalization, values: Array) -> Scaling:
    """The scaling of `method` for these values (finite, at least one).

    minmax brings them to 0..1, zscore to mean 0 and (population) standard deviation 1, robust to median 0 and an
    interquartile range of 1. Values without any spread are only shifted.
    """
    match method:
        case "none":
            offset, scale = 0.0, 1.0
        case "minmax":
            offset, scale = values.min(), np.ptp(values)
        case "zscore":
            offset, scale = values.mean(), values.std()
        case "robust":
            low, offset, high = np.percentile(values, (25, 50, 75))
            scale = high - low
    return Scaling(method=method, offset=float(offset), scale=float(scale) or 1.0)
