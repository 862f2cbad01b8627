"""Figures of merit of forecasts, each beside what a forecast without skill reaches. Imports numpy only.

Metrics are plain JSON values; one that is not defined (the precision of a class never chosen) is null.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Metrics = dict[str, object]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def classification_metrics(actual: Counts, chosen: Counts, classes: tuple[str, ...], usual: int) -> Metrics:
    """`confusion_matrix[i][j]` counts the samples of class i that were taken for class j.

    The balanced accuracy is the mean recall of the classes that occur. Without skill: always class `usual`.
    """
    count = len(classes)
    confusion = np.bincount(actual * count + chosen, minlength=count * count).reshape(count, count)
    right, actually, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    occurring = actually > 0
    return {
        "accuracy": float(right.sum() / confusion.sum()),
        "balanced_accuracy": float((right[occurring] / actually[occurring]).mean()),
        "no_skill_accuracy": float(actually[usual] / confusion.sum()),
        "no_skill_balanced_accuracy": float(occurring[usual] / occurring.sum()),
        "confusion_matrix": confusion.tolist(),
        "classes": {
            name: {
                "samples": int(actually[number]),
                "precision": _ratio(right[number], answered[number]),
                "recall": _ratio(right[number], actually[number]),
                "f1": _ratio(2 * right[number], actually[number] + answered[number]),
            }
            for number, name in enumerate(classes)
        },
    }


def log_loss(log_probabilities: Floats, actual: Counts) -> float | None:
    """The mean of -log p of the right class, given (samples, classes) or, for a fixed answer, (classes,).

    Null where a class that occurs has the probability 0.
    """
    if log_probabilities.ndim == 1:
        of_right = log_probabilities[actual]
    else:
        of_right = np.take_along_axis(log_probabilities, actual[:, None], axis=1)
    return _finite(-of_right.mean())


def regression_metrics(actual: Floats, forecasts: Floats, usual: float) -> Metrics:
    """Errors in units of the label; R2 is against the mean of these samples. A label of 0 has no sign to match.

    The information coefficient is Spearman's rank correlation. Without skill: always the number `usual`.
    """
    errors = forecasts - actual
    deviations = actual - actual.mean()
    moved = actual != 0
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt((errors**2).mean())),
        "r2": None if not deviations.any() else float(1.0 - (errors**2).sum() / (deviations**2).sum()),
        "sign_accuracy": _ratio((np.sign(forecasts) == np.sign(actual))[moved].sum(), moved.sum()),
        "information_coefficient": rank_correlation(actual, forecasts),
        "no_skill_mae": float(np.abs(usual - actual).mean()),
        "no_skill_rmse": float(np.sqrt(((usual - actual) ** 2).mean())),
        "no_skill_sign_accuracy": _ratio((np.sign(actual) == np.sign(usual))[moved].sum(), moved.sum()),
    }


def rank_correlation(one: Floats, other: Floats) -> float | None:
    """Spearman's rank correlation; equal values share their mean rank. Null where one of the two is constant."""
    ranks, others = _ranks(one), _ranks(other)
    ranks -= ranks.mean()
    others -= others.mean()
    spread = math.sqrt(float(ranks @ ranks) * float(others @ others))
    return float(ranks @ others) / spread if spread > 0.0 else None


def _ranks(values: Floats) -> Floats:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2.0)[places]
    return ranks


def _ratio(part: np.integer, whole: np.integer) -> float | None:
    return float(part / whole) if whole else None


def _finite(value: np.floating) -> float | None:
    return float(value) if np.isfinite(value) else None
