"""The names in a strategy: what they may look like, and the names of the features. Imports the model and the checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ktrdr.training.strategy.model import FuzzySet, Indicator, Input, ModelFeatures, Normalization, Strategy
from ktrdr.training.strategy.values import matching

SYMBOL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._^=-]{0,31}"

check_symbol = matching(
    SYMBOL_PATTERN, "1 to 32 letters, digits and the characters . _ ^ = -, the first a letter or digit"
)
#: Context series, as their providers call them.
SERIES_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._^=-]{0,63}"
check_series = matching(
    SERIES_PATTERN, "1 to 64 letters, digits and the characters . _ ^ = -, the first a letter or digit"
)
check_name = matching(
    r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", "1 to 100 letters, digits, _ and -, the first a letter or digit"
)
#: Identifiers have no dot: it separates an indicator's id from the name of its output.
ID_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}"
check_id = matching(ID_PATTERN, "1 to 64 letters, digits, _ and -, the first not a -")

#: What `include_price_context` adds for each timeframe.
PRICE_CONTEXT = ("return", "range", "volume_ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureColumn:
    """One column that the model sees: its name, and where its values come from."""

    name: str
    timeframe: str
    #: A membership of the fuzzy set `of`; the column `of` of an indicator; or the price context `of`.
    kind: Literal["membership", "raw", "price"]
    of: str
    #: Of a fuzzy set only.
    membership: str | None = None
    #: What is fitted on the train part; always "none" for memberships.
    normalization: Normalization
    #: How many rows before its own the value stands.
    lag: int = 0
    #: Position in `nn_inputs`; None for price context.
    input: int | None


def feature_columns(strategy: Strategy) -> tuple[FeatureColumn, ...]:
    """The columns that the model sees, in order (strategy-v3, sections 4 and 5)."""
    return tuple(with_lags(columns_without_lags(strategy), strategy.model.features.lookback_periods))


def feature_names(strategy: Strategy) -> list[str]:
    """The names of the columns that the model sees, in order."""
    return [column.name for column in feature_columns(strategy)]


def indicator_of(strategy: Strategy, reference: str) -> Indicator:
    """The indicator of which `reference` (`<id>` or `<id>.<output>`) is a column."""
    return strategy.indicators[reference.partition(".")[0]]


def columns_without_lags(strategy: Strategy) -> list[FeatureColumn]:
    """Of the columns, those of the row itself."""
    return columns_of(strategy.inputs, strategy.fuzzy_sets, strategy.data.timeframes, strategy.model.features)


def columns_of(
    inputs: Sequence[Input],
    fuzzy_sets: Mapping[str, FuzzySet | None],
    timeframes: Sequence[str],
    added: ModelFeatures,
) -> list[FeatureColumn]:
    """For each input, each timeframe, each membership (none of a fuzzy set that is missing); then the price context."""
    unscaled: Normalization = "zscore" if added.scale_features else "none"
    columns = []
    for position, entry in enumerate(inputs):
        for timeframe in entry.timeframes:
            if entry.raw_indicator is not None:
                name = f"{timeframe}_{entry.raw_indicator}_raw"
                method = unscaled if entry.normalization == "none" else entry.normalization
                columns.append(
                    FeatureColumn(
                        name=name,
                        timeframe=timeframe,
                        kind="raw",
                        of=entry.raw_indicator,
                        normalization=method,
                        input=position,
                    )
                )
            elif entry.fuzzy_set is not None and (fuzzy_set := fuzzy_sets.get(entry.fuzzy_set)):
                columns += [
                    FeatureColumn(
                        name=f"{timeframe}_{entry.fuzzy_set}_{membership.name}",
                        timeframe=timeframe,
                        kind="membership",
                        of=entry.fuzzy_set,
                        membership=membership.name,
                        normalization="none",
                        input=position,
                    )
                    for membership in fuzzy_set.memberships
                ]
    columns += [
        FeatureColumn(
            name=f"{timeframe}_{what}", timeframe=timeframe, kind="price", of=what, normalization=unscaled, input=None
        )
        for timeframe in timeframes
        if added.include_price_context
        for what in PRICE_CONTEXT
    ]
    return columns


def with_lags(columns: Sequence[FeatureColumn], lookback: int) -> list[FeatureColumn]:
    """The columns, then all of them one row before, two rows before, …"""
    lagged = [
        replace(column, name=f"{column.name}_lag{lag}", lag=lag) for lag in range(1, lookback + 1) for column in columns
    ]
    return [*columns, *lagged]
