"""What each step found, as plain JSON values for its `StageFinished`. Imports pandas and the types of the steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from ktrdr.training.charts import Charts
from ktrdr.training.dataset import Dataset, Part, SymbolLabels, SymbolSamples
from ktrdr.training.features import Columns, Features, Memberships
from ktrdr.training.labels import SOURCES
from ktrdr.training.specification import Specification
from ktrdr.training.timeframes import source_of
from ktrdr.training.trainer import TrainedModel

Facts = dict[str, object]


def of_prices(specification: Specification, charts: Mapping[str, Charts]) -> Facts:
    """Of each chart: the digest of its data, and the bars that are used of it."""
    prices = {(reference.symbol, reference.timeframe): reference.digest for reference in specification.prices}
    series: list[Facts] = []
    for symbol, of_symbol in charts.items():
        available = {timeframe for known, timeframe in prices if known == symbol}
        for timeframe in specification.strategy.data.timeframes:
            source = source_of(timeframe, available) or timeframe
            facts: Facts = {"symbol": symbol, "timeframe": timeframe, "digest": prices[symbol, source]}
            if source != timeframe:
                facts["resampled_from"] = source
            series.append(facts | _extent(of_symbol[timeframe]))
    some = next(iter(charts.values()))
    context = [
        {"name": reference.name, "digest": reference.digest, **_extent(some[reference.name])}
        for reference in specification.context
    ]
    return {"series": series, "context": context} if context else {"series": series}


def of_indicators(indicators: Mapping[str, Mapping[str, Columns]]) -> Facts:
    return {
        "columns": {
            symbol: {chart: len(columns) for chart, columns in charts.items()} for symbol, charts in indicators.items()
        }
    }


def of_memberships(memberships: Mapping[str, Mapping[str, Memberships]]) -> Facts:
    counts = {
        symbol: {chart: sum(map(len, sets.values())) for chart, sets in charts.items()}
        for symbol, charts in memberships.items()
    }
    return {"memberships": counts}


def of_features(features: Mapping[str, Features]) -> Facts:
    return {
        "columns": {symbol: len(of.columns) for symbol, of in features.items()},
        "rows": {symbol: len(of.times) for symbol, of in features.items()},
    }


def of_labels(source: str, labels: Mapping[str, SymbolLabels]) -> Facts:
    """How many bars have a label, and how many have each class."""
    classes = SOURCES[source].classes
    known = {symbol: of.of_bars.values[~np.isnan(of.of_bars.values)] for symbol, of in labels.items()}
    facts: Facts = {"labelled": {symbol: len(values) for symbol, values in known.items()}}
    if classes:
        facts["classes"] = {symbol: _classes(values.astype(np.int64), classes) for symbol, values in known.items()}
    return facts


def of_samples(samples: Mapping[str, SymbolSamples]) -> Facts:
    return {"samples": {symbol: len(of.rows) for symbol, of in samples.items()}}


def of_dataset(dataset: Dataset) -> Facts:
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        "features": len(dataset.feature_names),
        "left_out": dataset.left_out,
        **{name: _part(part, dataset.classes) for name, part in parts.items()},
    }


def of_network(network: nn.Module) -> Facts:
    return {"parameters": sum(parameter.numel() for parameter in network.parameters())}


def of_training(trained: TrainedModel) -> Facts:
    return {
        "epochs_trained": len(trained.history),
        "best_epoch": trained.best_epoch,
        "batch_size": trained.batch_size,
    }


def _extent(frame: pd.DataFrame) -> Facts:
    """How many bars there are, and when the first and the last of them open."""
    if frame.empty:
        return {"bars": 0}
    return {"bars": len(frame), "first": frame.index[0].isoformat(), "last": frame.index[-1].isoformat()}


def _part(part: Part, classes: tuple[str, ...]) -> Facts:
    facts: Facts = {
        "samples": len(part),
        "symbols": {symbol: samples.stop - samples.start for symbol, samples in part.symbols.items()},
        "first": part.first.isoformat(),
        "last": part.last.isoformat(),
    }
    if classes:
        facts["classes"] = _classes(part.targets.numpy(), classes)
    return facts


def _classes(numbers: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, int]:
    return dict(zip(classes, np.bincount(numbers, minlength=len(classes)).tolist(), strict=True))
