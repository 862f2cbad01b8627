"""How good a model is on samples that it never saw, overall and per symbol, against a forecast without skill.

Metrics are plain JSON values; one that is not defined (the precision of a class never chosen) is null. Imports numpy
and torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ktrdr.training.dataset import Dataset
from ktrdr.training.losses import SampleLosses
from ktrdr.training.models import outputs_of

Metrics = dict[str, object]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    metrics: Metrics
    #: Only symbols with samples in the test part.
    per_symbol: dict[str, Metrics]


def evaluate(network: nn.Module, dataset: Dataset, losses: SampleLosses) -> Evaluation:
    """Metrics of the test part. Those without skill say what always answering the same would reach: the most frequent
    class of the train part, or its mean."""
    test = dataset.test
    outputs = outputs_of(network, test.features)
    sample_losses = losses(outputs, test.targets).double().numpy()

    def measure(samples: slice) -> Metrics:
        common: Metrics = {
            "samples": int(samples.stop - samples.start),
            "loss": float(sample_losses[samples].mean()),
        }
        if dataset.classes:
            answers = outputs[samples].argmax(dim=1).numpy()
            usual = int(torch.bincount(dataset.train.targets).argmax())
            return common | classification_metrics(test.targets[samples].numpy(), answers, dataset.classes, usual)
        forecasts = outputs[samples].squeeze(1).double().numpy()
        usual_return = float(dataset.train.targets.double().mean())
        return common | regression_metrics(test.targets[samples].double().numpy(), forecasts, usual_return)

    return Evaluation(
        measure(slice(0, len(test))),
        {symbol: measure(samples) for symbol, samples in test.symbols.items() if samples.stop > samples.start},
    )


def classification_metrics(actual: Counts, chosen: Counts, classes: tuple[str, ...], usual: int) -> Metrics:
    """`confusion_matrix[i][j]` counts the samples of class i that were taken for class j.

    The balanced accuracy is the mean recall of the classes that occur.
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


def regression_metrics(actual: Floats, forecasts: Floats, usual: float) -> Metrics:
    """Errors in units of the label; R2 is against the mean of these samples. A label of 0 has no sign to match."""
    errors = forecasts - actual
    deviations = actual - actual.mean()
    moved = actual != 0
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt((errors**2).mean())),
        "r2": None if not deviations.any() else float(1.0 - (errors**2).sum() / (deviations**2).sum()),
        "sign_accuracy": _ratio((np.sign(forecasts) == np.sign(actual))[moved].sum(), moved.sum()),
        "no_skill_mae": float(np.abs(usual - actual).mean()),
        "no_skill_rmse": float(np.sqrt(((usual - actual) ** 2).mean())),
        "no_skill_sign_accuracy": _ratio((np.sign(actual) == np.sign(usual))[moved].sum(), moved.sum()),
    }


def _ratio(part: np.integer, whole: np.integer) -> float | None:
    return float(part / whole) if whole else None
