"""The features of one symbol: what the network sees of each bar, in the order and under the names of section 4.

Three steps, each a function of its input alone: indicators, memberships, features. Training and prediction both go
through them, so a model is asked what it was taught. Imports numpy and pandas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ktrdr.training import indicators
from ktrdr.training.fuzzy import degrees
from ktrdr.training.indicators.registry import Array, Bars
from ktrdr.training.strategy.model import Input, Normalization, Strategy

#: Column name → one value per bar.
Columns = Mapping[str, Array]
#: Fuzzy set → membership → one value per bar.
Memberships = Mapping[str, Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    name: str
    #: What is fitted on the train part; always "none" for memberships.
    normalization: Normalization


@dataclass(frozen=True, slots=True)
class Features:
    """The feature columns of one symbol, one row per bar of the base timeframe, not normalised yet."""

    times: pd.DatetimeIndex
    #: In the order of `feature_columns`.
    columns: tuple[Array, ...]

    def complete_rows(self) -> NDArray[np.int64]:
        """Positions of the bars of which every feature is known."""
        complete = np.ones(len(self.times), dtype=bool)
        for column in self.columns:
            complete &= np.isfinite(column)
        return np.flatnonzero(complete)


def feature_columns(strategy: Strategy) -> tuple[FeatureColumn, ...]:
    """Names and normalisations of the features, in order: for each input, each timeframe, each membership."""
    columns: list[FeatureColumn] = []
    for source in strategy.inputs:
        for timeframe in source.timeframes:
            names = _column_names(strategy, source)
            columns += (FeatureColumn(f"{timeframe}_{name}", source.normalization) for name in names)
    return tuple(columns)


def _column_names(strategy: Strategy, source: Input) -> list[str]:
    if source.fuzzy_set is None:
        return [f"{source.raw_indicator}_raw"]
    return [f"{source.fuzzy_set}_{membership.name}" for membership in strategy.fuzzy_sets[source.fuzzy_set].memberships]


def bars_of(frame: pd.DataFrame) -> Bars:
    """The columns of a price frame as contiguous arrays."""
    return Bars(
        *(np.ascontiguousarray(frame[name], dtype=np.float64) for name in ("open", "high", "low", "close", "volume"))
    )


def calculate_indicators(strategy: Strategy, frame: pd.DataFrame) -> Columns:
    """Every indicator of the strategy over one price frame: `<id>` and `<id>.<output>`, NaN during the warm-up."""
    bars = bars_of(frame)
    columns: dict[str, Array] = {}
    for indicator in strategy.indicators.values():
        columns |= indicators.compute(indicator, bars)
    return columns


def generate_memberships(strategy: Strategy, timeframe: str, columns: Columns) -> Memberships:
    """The memberships of every fuzzy set that an input reads on this timeframe."""
    used = [source.fuzzy_set for source in strategy.inputs if timeframe in source.timeframes]
    sets = [strategy.fuzzy_sets[name] for name in used if name is not None]
    return {
        fuzzy_set.id: {m.name: degrees(columns[fuzzy_set.indicator], m) for m in fuzzy_set.memberships}
        for fuzzy_set in sets
    }


def assemble(
    strategy: Strategy,
    times: pd.DatetimeIndex,
    columns: Mapping[str, Columns],
    memberships: Mapping[str, Memberships],
) -> Features:
    """The features on the base timeframe, from the columns and memberships of each timeframe."""
    arrays: list[Array] = []
    for source in strategy.inputs:
        for timeframe in source.timeframes:
            if source.fuzzy_set is not None:
                arrays += memberships[timeframe][source.fuzzy_set].values()
            elif source.raw_indicator is not None:
                arrays.append(columns[timeframe][source.raw_indicator])
    return Features(times, tuple(arrays))


def features_of(strategy: Strategy, frames: Mapping[str, pd.DataFrame]) -> Features:
    """All three steps for one symbol, given its price frame on each timeframe."""
    columns = {timeframe: calculate_indicators(strategy, frame) for timeframe, frame in frames.items()}
    memberships = {timeframe: generate_memberships(strategy, timeframe, columns[timeframe]) for timeframe in frames}
    base = frames[strategy.data.base_timeframe]
    return assemble(strategy, pd.DatetimeIndex(base.index), columns, memberships)
