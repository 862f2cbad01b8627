"""Samples: the bars of which features and label are known, and the three parts that they are divided into as tensors.

Imports numpy, pandas and torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ktrdr.training.features import FeatureColumn, Features
from ktrdr.training.labels import BarLabels
from ktrdr.training.normalization import Scaling, fit
from ktrdr.training.split import Split
from ktrdr.training.windows import Inputs, Windows, concatenate

Positions = NDArray[np.int64]

#: Rows that are brought into their final form at once.
_BLOCK = 1 << 13


@dataclass(frozen=True, slots=True)
class SymbolLabels:
    """One symbol's labels, and the times of the bars that they belong to."""

    times: pd.DatetimeIndex
    #: The close of each bar, by which decisions are judged.
    closes: NDArray[np.float64]
    of_bars: BarLabels


@dataclass(frozen=True, slots=True)
class SymbolSamples:
    """One symbol's bars, and which of them are samples."""

    features: Features
    labels: BarLabels
    #: The close of each bar.
    closes: NDArray[np.float64]
    #: Positions of the samples among the bars, ascending.
    rows: Positions


@dataclass(frozen=True, slots=True)
class Part:
    """The samples of one part: symbol after symbol, within a symbol by time."""

    #: float32 (samples, features), or the windows that end at the samples.
    features: Inputs
    #: int64 class numbers, or float32 numbers to forecast, (samples,).
    targets: torch.Tensor
    #: float32 (samples,) with mean 1; None = all alike.
    weights: torch.Tensor | None
    #: Where each symbol's samples lie.
    symbols: Mapping[str, slice]
    #: datetime64[ns], UTC, (samples,): when each sample's bar opens.
    times: NDArray[np.datetime64]
    #: (samples,): the close of each sample's bar.
    closes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def first(self) -> pd.Timestamp:
        """When the bar of the earliest sample opens."""
        return pd.Timestamp(self.times.min(), tz="UTC")

    @property
    def last(self) -> pd.Timestamp:
        """When the bar of the latest sample opens."""
        return pd.Timestamp(self.times.max(), tz="UTC")


@dataclass(frozen=True, slots=True)
class Dataset:
    train: Part
    validation: Part
    test: Part
    feature_names: tuple[str, ...]
    #: One per feature, fitted on the train part.
    scalings: tuple[Scaling, ...]
    #: Names of the classes by number; empty for regression.
    classes: tuple[str, ...]
    #: Samples in no part, because their label reaches too close to the next one or they have no full window.
    left_out: int


def feature_tensor(features: Features, rows: Positions, scalings: Sequence[Scaling]) -> torch.Tensor:
    """The chosen rows, normalised, as float32 of shape (rows, features)."""
    tensor = torch.empty((len(rows), len(features.columns)), dtype=torch.float32)
    # In blocks, which are turned from columns into rows within the processor's cache.
    for start in range(0, len(rows), _BLOCK):
        chosen = rows[start : start + _BLOCK]
        pairs = zip(features.columns, scalings, strict=True)
        block = np.stack([scaling.apply(column[chosen]) for column, scaling in pairs])
        tensor[start : start + _BLOCK] = torch.from_numpy(block).t()
    return tensor


def network_inputs(
    features: Features, rows: Positions, scalings: Sequence[Scaling], window_length: int | None
) -> Inputs:
    """What a network reads of the chosen rows: the rows themselves, or with a length the windows that end at them.

    Every row must have its window (see `ktrdr.training.windows.rows_with_window`).
    """
    if window_length is None:
        return feature_tensor(features, rows, scalings)
    complete = features.complete_rows()
    if len(rows) == 0:
        read = complete[:0]
    else:
        first, last = np.searchsorted(complete, (rows[0] - window_length + 1, rows[-1]))
        read = complete[first : last + 1]
    ends = torch.from_numpy(np.searchsorted(read, rows))
    return Windows(feature_tensor(features, read, scalings), ends, window_length)


def join(
    samples: Mapping[str, SymbolSamples],
    splits: Mapping[str, Split],
    columns: Sequence[FeatureColumn],
    classes: tuple[str, ...],
    window_length: int | None = None,
) -> Dataset:
    """The parts of all symbols, joined part by part; no part may be empty."""
    fitted = [
        fit(column.normalization, _values(samples, splits, number))
        for number, column in enumerate(columns)
        if column.lag == 0
    ]
    # The lags repeat the columns in their order, and a value means the same at any lag.
    scalings = tuple(fitted) * (len(columns) // len(fitted))

    def part(rows_of: Callable[[Split], Positions]) -> Part:
        chosen = {symbol: rows_of(split) for symbol, split in splits.items()}
        return _part(samples, chosen, scalings, window_length, is_classification=bool(classes))

    return Dataset(
        train=part(lambda split: split.train),
        validation=part(lambda split: split.validation),
        test=part(lambda split: split.test),
        feature_names=tuple(column.name for column in columns),
        scalings=scalings,
        classes=classes,
        left_out=sum(split.left_out for split in splits.values()),
    )


def _values(samples: Mapping[str, SymbolSamples], splits: Mapping[str, Split], number: int) -> NDArray[np.float64]:
    """The values of one feature on the train part of all symbols."""
    return np.concatenate([samples[symbol].features.columns[number][split.train] for symbol, split in splits.items()])


def _part(
    samples: Mapping[str, SymbolSamples],
    rows: Mapping[str, Positions],
    scalings: Sequence[Scaling],
    window_length: int | None,
    *,
    is_classification: bool,
) -> Part:
    features, targets, weights = [], [], []
    symbols: dict[str, slice] = {}
    start = 0
    for symbol, chosen in rows.items():
        of = samples[symbol]
        features.append(network_inputs(of.features, chosen, scalings, window_length))
        targets.append(of.labels.values[chosen])
        if of.labels.weights is not None:
            weights.append(of.labels.weights[chosen])
        symbols[symbol] = slice(start, start + len(chosen))
        start += len(chosen)
    return Part(
        features=concatenate(features),
        targets=torch.from_numpy(np.concatenate(targets)).to(torch.int64 if is_classification else torch.float32),
        weights=_with_mean_one(np.concatenate(weights)) if weights else None,
        symbols=symbols,
        times=np.concatenate([_nanoseconds(samples[symbol].features.times[chosen]) for symbol, chosen in rows.items()]),
        closes=np.concatenate([samples[symbol].closes[chosen] for symbol, chosen in rows.items()]),
    )


def _nanoseconds(times: pd.DatetimeIndex) -> NDArray[np.datetime64]:
    return times.as_unit("ns").asi8.view("M8[ns]")


def _with_mean_one(weights: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(weights / weights.mean()).to(torch.float32)
