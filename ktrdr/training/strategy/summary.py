"""What a strategy comes to before any price is read: its features, its warm-up, the size of its network.

Imports the registry of indicators; TA-Lib only when a warm-up is asked for, torch and pandas never.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ktrdr.training import indicators, price_context
from ktrdr.training.strategy.model import Labels, Mlp, Model, Recurrent, Strategy
from ktrdr.training.strategy.names import columns_without_lags, feature_names, indicator_of
from ktrdr.training.timeframes import usual_minutes

#: Sets of weights per unit of a recurrent layer (Hochreiter & Schmidhuber 1997; Cho et al. 2014).
_GATES = {"lstm": 4, "gru": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    #: In the order of the network's inputs.
    features: tuple[str, ...]
    #: Bars of the base timeframe at the beginning of the data that can be no sample.
    warm_up_bars: int
    #: Weights and biases of the network.
    parameters: int


def summarize(strategy: Strategy) -> Summary:
    features = tuple(feature_names(strategy))
    return Summary(
        features=features,
        warm_up_bars=warm_up_bars(strategy),
        parameters=parameter_count(strategy.model, inputs=len(features), outputs=_outputs(strategy.training.labels)),
    )


def parameter_count(model: Model, *, inputs: int, outputs: int) -> int:
    """The weights and biases of the network that `ktrdr.training.models` builds, by arithmetic."""
    match model.architecture:
        case Mlp(hidden_layers=layers):
            return sum((above + 1) * below for above, below in pairwise((inputs, *layers, outputs)))
        case Recurrent(hidden_size=size, num_layers=count):
            widths = (inputs, *(size for _ in range(count - 1)))
            # torch keeps two biases per gate: one beside the inputs' weights, one beside the state's.
            return sum(_GATES[model.type] * size * (width + size + 2) for width in widths) + (size + 1) * outputs


def _outputs(labels: Labels) -> int:
    """One forecast, or the logit of each class."""
    return {"forward_return": 1, "regime": 4}.get(labels.source, 3)


def warm_up_bars(strategy: Strategy) -> int:
    """How many bars at the beginning of the data cannot be a sample because a feature is not known yet, at most.

    A longer timeframe counts as many base bars as fit into it around the clock, and each of its values is known only
    when its bar has closed. A market that closes at night has fewer bars in a day, so that less is needed there.
    """
    base = usual_minutes(strategy.data.base_timeframe).start
    longest = 0
    for frequency, bars in _warm_ups(strategy):
        within = max(-(-(usual_minutes(frequency).stop - 1) // base), 1)
        longest = max(longest, (bars + 1) * within - 1)
    rows = strategy.model.features.lookback_periods
    if isinstance(strategy.model.architecture, Recurrent):
        rows += strategy.model.architecture.sequence_length - 1
    return longest + rows


def _warm_ups(strategy: Strategy) -> Iterator[tuple[str, int]]:
    """For each column, how far one bar that it is computed on reaches, and how many of them have no value."""
    known: dict[str, int] = {}
    for column in columns_without_lags(strategy):
        if column.kind == "price":
            yield column.timeframe, price_context.WARM_UP[column.of]
            continue
        reference = strategy.fuzzy_sets[column.of].indicator if column.kind == "membership" else column.of
        indicator = indicator_of(strategy, reference)
        if indicator.id not in known:
            known[indicator.id] = indicators.warm_up_bars(indicator)
        source = None if indicator.data_source is None else strategy.context[indicator.data_source]
        yield column.timeframe if source is None else source.frequency, known[indicator.id]
