"""The charts of one symbol: its bars on every timeframe of a strategy, and the context series. Imports pandas.

A *chart* is what an indicator is computed on: the bars of a timeframe, named by it, or those of a context series, by
its name. Training and prediction both begin with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pandas as pd

from ktrdr.training import prices, series
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.records import nanoseconds
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.timeframes import Nanoseconds, closes, source_of, sources

#: Chart → its bars, of one symbol.
Charts = Mapping[str, pd.DataFrame]


def charts_of(strategy: Strategy, frames: Charts, context: Charts) -> dict[str, pd.DataFrame]:
    """Every chart of the strategy, from the price frames of a symbol by timeframe and the context series by name.

    A timeframe without a frame is resampled from the longest shorter one that has one; frames that are not needed are
    left out. Raises `InvalidInputError` when data is missing, or is not what it should be.
    """
    charts, faults = {}, []
    for timeframe in strategy.data.timeframes:
        source = source_of(timeframe, frames)
        if source is None:
            made_of = " or ".join((timeframe, *sources(timeframe)))
            faults.append(Fault((timeframe,), f"there are no {timeframe} prices", f"prices of {made_of}"))
        else:
            frame = frames[source]
            prices.validate(frame)
            charts[timeframe] = frame if source == timeframe else prices.resample(frame, source, timeframe)
    for name, declared in strategy.context.items():
        if name in context:
            charts[name] = series.to_bars(declared, context[name])
        else:
            faults.append(Fault((name,), f"there is no data of the context series {name!r}", "import it"))
    if faults:
        raise InvalidInputError(faults)
    return charts


def known_at(strategy: Strategy, chart: str, frame: pd.DataFrame) -> Nanoseconds:
    """When each bar of a chart is known: a price bar when it has closed, a context series after its publication."""
    opens = nanoseconds(frame.index)
    context = strategy.context.get(chart)
    if context is None:
        return closes(opens, chart)
    return closes(opens, context.frequency) + context.publication_lag // timedelta(microseconds=1) * 1000


def within_dates(strategy: Strategy, charts: Charts) -> dict[str, pd.DataFrame]:
    """The base bars from start to end, both included, and what they can see of the other charts.

    Of every chart also the `history_required` bars before the start, which warm the indicators up. Without any base
    bar between the dates all charts are empty.
    """
    data = strategy.data
    whole = charts[data.base_timeframe]
    stop = len(whole) if data.end is None else whole.index.searchsorted(pd.Timestamp(data.end), side="right")
    if stop <= _first(strategy, whole):
        return {chart: frame.iloc[:0] for chart, frame in charts.items()}
    last = known_at(strategy, data.base_timeframe, whole.iloc[stop - 1 : stop])[0]
    cut = {}
    for chart, frame in charts.items():
        end = stop if chart == data.base_timeframe else known_at(strategy, chart, frame).searchsorted(last, "right")
        cut[chart] = frame.iloc[max(min(_first(strategy, frame), end) - data.history_required, 0) : end]
    return cut


def _first(strategy: Strategy, frame: pd.DataFrame) -> int:
    """How many bars open before the start."""
    start = strategy.data.start
    return 0 if start is None else int(frame.index.searchsorted(pd.Timestamp(start), side="left"))
