"""The features of one symbol: what the network sees of each bar, in the order and under the names of the grammar.

Three steps, each a function of its input alone: indicators, memberships, features. Training and prediction both go
through them, so a model is asked what it was taught. Imports numpy and pandas.

Every chart has its own rhythm: a row of features is that of a bar of the base timeframe, and takes from each chart the
last bar that was known when its own bar closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ktrdr.training import indicators
from ktrdr.training.charts import Charts, known_at
from ktrdr.training.fuzzy import degrees
from ktrdr.training.indicators.registry import Array, Bars
from ktrdr.training.price_context import price_context
from ktrdr.training.strategy.model import Indicator, Strategy
from ktrdr.training.strategy.names import FeatureColumn, columns_without_lags, feature_columns, indicator_of
from ktrdr.training.timeframes import last_closed

__all__ = [
    "Columns",
    "FeatureColumn",
    "Features",
    "Memberships",
    "assemble",
    "bars_of",
    "calculate_indicators",
    "feature_columns",
    "features_of",
    "generate_memberships",
]

#: Column name → one value per bar of a chart.
Columns = Mapping[str, Array]
#: Fuzzy set → membership → one value per bar of a chart.
Memberships = Mapping[str, Mapping[str, Array]]


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


def bars_of(frame: pd.DataFrame) -> Bars:
    """The columns of a price frame as contiguous arrays."""
    return Bars(
        *(np.ascontiguousarray(frame[name], dtype=np.float64) for name in ("open", "high", "low", "close", "volume"))
    )


def calculate_indicators(strategy: Strategy, chart: str, frame: pd.DataFrame) -> Columns:
    """The indicators that inputs read on this chart: `<id>` and `<id>.<output>`, NaN during the warm-up."""
    bars = bars_of(frame)
    columns: dict[str, Array] = {}
    for column in _columns_on(strategy, chart):
        indicator = _indicator(strategy, column)
        if indicator.id not in columns:
            columns |= indicators.compute(indicator, bars)
    return columns


def generate_memberships(strategy: Strategy, chart: str, columns: Columns) -> Memberships:
    """The memberships of every fuzzy set that an input reads on this chart."""
    used = dict.fromkeys(column.of for column in _columns_on(strategy, chart) if column.kind == "membership")
    sets = [strategy.fuzzy_sets[name] for name in used]
    return {
        fuzzy_set.id: {m.name: degrees(columns[fuzzy_set.indicator], m) for m in fuzzy_set.memberships}
        for fuzzy_set in sets
    }


def assemble(
    strategy: Strategy,
    charts: Charts,
    columns: Mapping[str, Columns],
    memberships: Mapping[str, Memberships],
) -> Features:
    """The features on the base timeframe, from the bars, columns and memberships of each chart."""
    base = strategy.data.base_timeframe
    closing = known_at(strategy, base, charts[base])
    lookback = strategy.model.features.lookback_periods
    seen = {
        chart: last_closed(known_at(strategy, chart, frame), closing)
        for chart, frame in charts.items()
        if chart != base
    }
    joined: dict[tuple[str, str, str | None], Array] = {}
    own: list[Array] = []
    for column in columns_without_lags(strategy):
        chart = _chart(strategy, column)
        key = (chart, column.of, column.membership)
        if key not in joined:  # a context series is the same on every timeframe
            if column.membership is not None:
                values = memberships[chart][column.of][column.membership]
            elif column.kind == "raw":
                values = columns[chart][column.of]
            else:
                values = price_context(column.of, bars_of(charts[chart]))
            joined[key] = _join(values, seen.get(chart), lookback)
        own.append(joined[key])
    count = len(closing)
    shifted = tuple(values[lookback - lag :][:count] for lag in range(lookback + 1) for values in own)
    return Features(pd.DatetimeIndex(charts[base].index), shifted)


def features_of(strategy: Strategy, charts: Charts) -> Features:
    """All three steps for one symbol, given its bars on each timeframe and those of the context series."""
    columns = {chart: calculate_indicators(strategy, chart, frame) for chart, frame in charts.items()}
    memberships = {chart: generate_memberships(strategy, chart, columns[chart]) for chart in charts}
    return assemble(strategy, charts, columns, memberships)


def _join(values: Array, seen: NDArray[np.int64] | None, lookback: int) -> Array:
    """The values of a chart for each row, `seen` being the bars that the rows see; before them `lookback` missing ones.

    The value so many rows before each row is then a view into the same memory.
    """
    if seen is None and lookback == 0:
        return values
    count = len(values) if seen is None else len(seen)
    unseen = 0 if seen is None else int(np.searchsorted(seen, 0))
    joined = np.empty(lookback + count)
    joined[: lookback + unseen] = np.nan
    known = joined[lookback + unseen :]
    if seen is None:
        known[:] = values
    else:
        np.take(values, seen[unseen:], out=known, mode="clip")  # without it, numpy checks in a copy
    return joined


def _columns_on(strategy: Strategy, chart: str) -> list[FeatureColumn]:
    """The columns, without lags and price context, whose indicator is computed on this chart."""
    columns = columns_without_lags(strategy)
    return [column for column in columns if column.kind != "price" and _chart(strategy, column) == chart]


def _indicator(strategy: Strategy, column: FeatureColumn) -> Indicator:
    reference = strategy.fuzzy_sets[column.of].indicator if column.kind == "membership" else column.of
    return indicator_of(strategy, reference)


def _chart(strategy: Strategy, column: FeatureColumn) -> str:
    """The chart that the column is of."""
    return column.timeframe if column.kind == "price" else _indicator(strategy, column).data_source or column.timeframe
