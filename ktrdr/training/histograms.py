"""How an indicator's values are spread over the train part, beside the memberships that divide them. Imports numpy
and pandas.

It shows at a glance whether a fuzzy set covers what its indicator does, which no metric tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ktrdr.training.charts import Charts
from ktrdr.training.dataset import Part
from ktrdr.training.features import Columns
from ktrdr.training.fuzzy import degrees
from ktrdr.training.strategy.model import FuzzySet, Strategy
from ktrdr.training.strategy.names import indicator_of

Floats = NDArray[np.float64]

BINS = 60
#: Quantiles between which the bins lie; beyond are single values that would squeeze the rest together.
LOWEST, HIGHEST = 0.005, 0.995
#: Values at which a membership's curve is given.
CURVE_POINTS = 181


class MembershipHistogram(TypedDict):
    """One fuzzy set on one timeframe."""

    fuzzy_set: str
    indicator: str
    #: A timeframe, or the context series that the indicator is computed on.
    chart: str
    #: Ends of the bins, one more than there are counts.
    edges: list[float]
    #: Bars of the train part in each bin.
    counts: list[int]
    #: Bars below the first and above the last bin.
    below: int
    above: int
    #: Membership → its mean degree over all of these bars: 0 = it never fires.
    mean_degrees: dict[str, float]
    #: The values of the indicator at which the curves are given, and membership → its degree at each of them.
    curve_values: list[float]
    curves: dict[str, list[float]]


def membership_histograms(
    strategy: Strategy,
    charts: Mapping[str, Charts],
    indicators: Mapping[str, Mapping[str, Columns]],
    train: Part,
) -> list[MembershipHistogram]:
    """Of each fuzzy set that is an input, on each of its timeframes, over all symbols' bars during the train part.

    `charts` and `indicators` are by symbol. A timeframe without a known value then is left out.
    """
    found: dict[tuple[str, str], MembershipHistogram] = {}
    for source in strategy.inputs:
        if source.fuzzy_set is None:
            continue
        fuzzy_set = strategy.fuzzy_sets[source.fuzzy_set]
        context = indicator_of(strategy, fuzzy_set.indicator).data_source
        for chart in source.timeframes if context is None else (context,):
            values = np.concatenate(
                [
                    indicators[symbol][chart][fuzzy_set.indicator][_during(train.times[samples], charts[symbol][chart])]
                    for symbol, samples in train.symbols.items()
                ]
            )
            known = values[np.isfinite(values)]
            if len(known):
                found[fuzzy_set.id, chart] = membership_histogram(fuzzy_set, chart, known)
    return list(found.values())


def _during(samples: NDArray[np.datetime64], bars: pd.DataFrame) -> slice:
    """The bars from the first of the samples to the last; none without samples."""
    if len(samples) == 0:
        return slice(0, 0)
    first, last = pd.Timestamp(samples[0], tz="UTC"), pd.Timestamp(samples[-1], tz="UTC")
    return slice(bars.index.searchsorted(first, side="left"), bars.index.searchsorted(last, side="right"))


def membership_histogram(fuzzy_set: FuzzySet, chart: str, values: Floats) -> MembershipHistogram:
    """The histogram of finite values, at least one."""
    low, high = (float(edge) for edge in np.quantile(values, (LOWEST, HIGHEST)))
    margin = max(0.5, abs(low) * 1e-6)
    if high - low < margin * 1e-6:  # An indicator that hardly moves.
        low, high = low - margin, high + margin
    edges = np.linspace(low, high, BINS + 1)
    counts = np.histogram(values, edges)[0]
    at = np.linspace(low, high, CURVE_POINTS)
    return MembershipHistogram(
        fuzzy_set=fuzzy_set.id,
        indicator=fuzzy_set.indicator,
        chart=chart,
        edges=_short(edges),
        counts=counts.tolist(),
        below=int((values < low).sum()),
        above=int((values > high).sum()),
        mean_degrees={one.name: float(degrees(values, one).mean()) for one in fuzzy_set.memberships},
        curve_values=_short(at),
        curves={one.name: degrees(at, one).round(4).tolist() for one in fuzzy_set.memberships},
    )


def _short(values: Floats) -> list[float]:
    """Six significant digits, enough for a picture."""
    return [float(f"{value:.6g}") for value in values]
