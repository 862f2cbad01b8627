"""Whether a model that says 70 % is right in 70 % of the cases. Imports numpy only."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Equal-width bins of the confidence.
BINS = 10


class ReliabilityBin(TypedDict):
    """The samples whose confidence lies above `lower` and not above `upper`."""

    lower: float
    upper: float
    samples: int
    #: Mean probability of the chosen class, and the share of right ones; null in an empty bin.
    confidence: float | None
    accuracy: float | None


def reliability(confidences: Floats, right: NDArray[np.bool_]) -> list[ReliabilityBin]:
    """The bins of a reliability diagram, given the probability of each sample's chosen class and whether it is right.

    Guo et al., On Calibration of Modern Neural Networks (2017), section 2.
    """
    numbers = np.clip(np.ceil(confidences * BINS).astype(np.int64) - 1, 0, BINS - 1)
    samples = np.bincount(numbers, minlength=BINS)
    confidence = np.bincount(numbers, weights=confidences, minlength=BINS)
    hits = np.bincount(numbers, weights=right, minlength=BINS)
    return [
        ReliabilityBin(
            lower=number / BINS,
            upper=(number + 1) / BINS,
            samples=int(count),
            confidence=float(confidence[number] / count) if count else None,
            accuracy=float(hits[number] / count) if count else None,
        )
        for number, count in enumerate(samples)
    ]


def expected_calibration_error(bins: list[ReliabilityBin]) -> float:
    """The mean distance between confidence and accuracy over all samples (ibid.); there must be at least one."""
    total = sum(one["samples"] for one in bins)
    distances = (
        one["samples"] * abs(one["confidence"] - one["accuracy"])
        for one in bins
        if one["confidence"] is not None and one["accuracy"] is not None
    )
    return sum(distances) / total
