"""What a model says of the test part beside what is true, for both kinds of model. Imports numpy and torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ktrdr.training.dataset import Dataset
from ktrdr.training.decisions import Names, decide_by_class, decide_by_forecast
from ktrdr.training.evaluation import warnings
from ktrdr.training.evaluation.calibration import ReliabilityBin, expected_calibration_error, reliability
from ktrdr.training.evaluation.metrics import (
    Counts,
    Floats,
    Metrics,
    classification_metrics,
    log_loss,
    regression_metrics,
)
from ktrdr.training.strategy.model import Decisions


@dataclass(frozen=True, slots=True)
class Classes:
    """The answers of a classification."""

    names: tuple[str, ...]
    #: (samples,)
    actual: Counts
    chosen: Counts
    #: (samples, classes)
    log_probabilities: Floats
    #: Samples of each class in the train part.
    train_counts: Counts

    @classmethod
    def of(cls, outputs: torch.Tensor, dataset: Dataset) -> Classes:
        return cls(
            names=dataset.classes,
            actual=dataset.test.targets.numpy(),
            chosen=outputs.argmax(dim=1).numpy(),
            log_probabilities=outputs.log_softmax(dim=1).numpy(),
            train_counts=torch.bincount(dataset.train.targets, minlength=len(dataset.classes)).numpy(),
        )

    @property
    def usual(self) -> int:
        """The most frequent class of the train part."""
        return int(self.train_counts.argmax())

    def measure(self, samples: slice) -> Metrics:
        actual = self.actual[samples]
        with np.errstate(divide="ignore"):  # A class that the train part lacks has the probability 0.
            log_frequencies = np.log(self.train_counts / self.train_counts.sum())
        return {
            **classification_metrics(actual, self.chosen[samples], self.names, self.usual),
            "log_loss": log_loss(self.log_probabilities[samples], actual),
            "no_skill_log_loss": log_loss(log_frequencies, actual),
            "expected_calibration_error": expected_calibration_error(self.reliability(samples)),
        }

    def reliability(self, samples: slice) -> list[ReliabilityBin]:
        confidences = np.exp(self.log_probabilities[samples].max(axis=1))
        return reliability(confidences, self.chosen[samples] == self.actual[samples])

    def decisions(self, rules: Decisions) -> Names:
        return decide_by_class(np.exp(self.log_probabilities), self.names, rules.confidence_threshold)

    def warnings(self, metrics: Metrics) -> Iterator[str]:
        yield from warnings.of_classification(metrics, self.names[self.usual])
        counts = {"train": self.train_counts, "test": np.bincount(self.actual, minlength=len(self.names))}
        yield from warnings.of_classes(
            {part: dict(zip(self.names, of.tolist(), strict=True)) for part, of in counts.items()}
        )


@dataclass(frozen=True, slots=True)
class Forecasts:
    """The answers of a regression."""

    #: (samples,)
    actual: Floats
    forecasts: Floats
    #: The mean of the train part.
    usual: float

    @classmethod
    def of(cls, outputs: torch.Tensor, dataset: Dataset) -> Forecasts:
        return cls(
            actual=dataset.test.targets.double().numpy(),
            forecasts=outputs.squeeze(1).numpy(),
            usual=float(dataset.train.targets.double().mean()),
        )

    def measure(self, samples: slice) -> Metrics:
        return regression_metrics(self.actual[samples], self.forecasts[samples], self.usual)

    def reliability(self, _samples: slice) -> list[ReliabilityBin]:
        """A number says nothing of how sure it is."""
        return []

    def decisions(self, rules: Decisions) -> Names:
        if rules.cost_model is None:
            raise ValueError("a regression decides by its costs, and there are none")
        return decide_by_forecast(self.forecasts, rules.cost_model)

    def warnings(self, metrics: Metrics) -> Iterator[str]:
        yield from warnings.of_regression(self.actual, self.forecasts, self.usual)
        yield from warnings.of_rank_correlation(metrics)
