"""Small data sets and networks whose evaluation is known beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from ktrdr.training.dataset import Dataset, Part
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.names import feature_names
from ktrdr.training.trainer import TrainedModel
from ktrdr.training.windows import Inputs

CLASSES = ("buy", "hold", "sell")
HOUR = np.timedelta64(3_600_000_000_000, "ns")


def hours(*numbers: float) -> Any:
    """Moments so many hours after the beginning of 2020, as datetime64[ns]."""
    minutes = np.round(np.array(numbers) * 60).astype(np.int64)
    return np.datetime64("2020-01-01", "ns") + minutes * (HOUR // 60)


def make_part(features: Inputs, targets: torch.Tensor, *, closes: Any = None, **symbols: slice) -> Part:
    """Hourly samples; without `symbols` all are of A."""
    count = len(targets)
    return Part(
        features=features,
        targets=targets,
        weights=None,
        symbols=symbols or {"A": slice(0, count)},
        times=hours(*range(count)),
        closes=np.ones(count) if closes is None else np.asarray(closes, dtype=np.float64),
    )


def make_dataset(strategy: Strategy, train: Part, test: Part, classes: tuple[str, ...] = CLASSES) -> Dataset:
    return Dataset(train, train, test, tuple(feature_names(strategy)), (), classes, 0)


def made(network: nn.Module) -> TrainedModel:
    """A model without a history."""
    return TrainedModel(network.eval(), (), 1, 32)


def linear(weights: list[list[float]]) -> nn.Linear:
    """(outputs, features) without a bias."""
    layer = nn.Linear(len(weights[0]), len(weights), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights))
    return layer
