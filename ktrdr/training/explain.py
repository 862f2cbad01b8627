"""Why a model says what it says: which memberships fired, what each contributed, and the strongest rules in words.

Of one bar, and of the model as a whole over the newest bars. A contribution is to the difference between the logit of
the chosen class and that of the runner-up (or to the forecast), measured from the mean input of the train part; all of
them sum to that difference (`ktrdr.training.attribution`). Imports pandas and torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ktrdr.training.attribution import Attribution, integrated_gradients
from ktrdr.training.charts import Charts, charts_of, known_at
from ktrdr.training.dataset import network_inputs
from ktrdr.training.decisions import decide_by_class, decide_by_forecast
from ktrdr.training.evaluation.importance import by_input, input_name
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.features import Columns, Features, assemble, calculate_indicators, generate_memberships
from ktrdr.training.models import window_length
from ktrdr.training.rules import FIRES, rule_at, usual_rules
from ktrdr.training.saved_model import SavedModel
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.names import FeatureColumn, feature_columns, indicator_of
from ktrdr.training.timeframes import last_closed
from ktrdr.training.windows import rows_with_window

Floats = NDArray[np.float64]

#: How exact contributions are: of the one bar that was asked about, and of each of the many.
_EXACT, _ROUGH = 1e-7, 1e-3


@dataclass(frozen=True, slots=True)
class _Bars:
    """Bars that the model can say something of, and what their features contribute."""

    times: pd.DatetimeIndex
    columns: tuple[FeatureColumn, ...]
    #: (bars, features): as the network sees them, of a window its last row.
    values: Floats
    #: (bars, outputs, features): of a window the sum over its rows.
    contributions: Floats
    #: (bars, outputs) and (outputs,).
    outputs: Floats
    baseline_outputs: Floats


def explain(
    model: SavedModel, frames: Charts, context: Charts, *, at: pd.Timestamp | None, last: int
) -> dict[str, object]:
    """The explanation of one bar and of the newest `last` bars of one symbol, as plain JSON.

    `frames` and `context` are its price frames by timeframe and the context series by name. Explains the bar that is
    open at the moment `at`, or the newest one. Raises `InvalidInputError` when they are no such data, or when the model
    has nothing to say of any bar up to `at`.
    """
    strategy = model.strategy
    charts = charts_of(strategy, frames, context)
    columns = {chart: calculate_indicators(strategy, chart, frame) for chart, frame in charts.items()}
    memberships = {chart: generate_memberships(strategy, chart, columns[chart]) for chart in charts}
    features = assemble(strategy, charts, columns, memberships)
    rows = _explicable(model, features)
    newest = rows if at is None else rows[: features.times[rows].searchsorted(at, side="right")]
    if len(newest) == 0:
        since = f"its first such bar opens at {features.times[rows[0]]}" if len(rows) else "give more bars"
        raise InvalidInputError([Fault(("at",), "the model has nothing to say of any bar by then", since)])
    one = _attribute(model, features, newest[-1:], _EXACT)
    many = _attribute(model, features, newest[-last:], _ROUGH)
    indicators = _indicator_values(strategy, charts, columns, int(newest[-1]))
    return {"bar": _explain_bar(model, one, indicators), "model": _explain_model(model, many)}


def _indicator_values(
    strategy: Strategy, charts: Charts, columns: Mapping[str, Columns], row: int
) -> dict[str, tuple[str, float | None]]:
    """Input → the indicator that it reads and what that was at the bar, as far as it was known then."""
    base = strategy.data.base_timeframe
    closing = known_at(strategy, base, charts[base])[row : row + 1]
    values: dict[str, tuple[str, float | None]] = {}
    for column in feature_columns(strategy):
        if column.kind == "price":
            continue
        reference = strategy.fuzzy_sets[column.of].indicator if column.kind == "membership" else column.of
        chart = indicator_of(strategy, reference).data_source or column.timeframe
        seen = int(last_closed(known_at(strategy, chart, charts[chart]), closing)[0])
        value = float(columns[chart][reference][seen]) if seen >= 0 else math.nan
        values[input_name(column)] = (reference, value if math.isfinite(value) else None)
    return values


def _explicable(model: SavedModel, features: Features) -> NDArray[np.int64]:
    complete = features.complete_rows()
    length = window_length(model.strategy.model)
    return complete if length is None else rows_with_window(complete, complete, length)


def _attribute(model: SavedModel, features: Features, rows: NDArray[np.int64], tolerance: float) -> _Bars:
    inputs = network_inputs(features, rows, model.scalings, window_length(model.strategy.model))
    tensor = torch.cat([*inputs.split(len(rows))])
    found = integrated_gradients(model.network, tensor, torch.tensor(model.feature_means), tolerance=tolerance)
    return _Bars(
        times=features.times[rows],
        columns=feature_columns(model.strategy),
        values=(tensor if tensor.dim() == 2 else tensor[:, -1]).double().numpy(),
        contributions=_of_features(found),
        outputs=found.outputs.numpy(),
        baseline_outputs=found.baseline_outputs.numpy(),
    )


def _of_features(found: Attribution) -> Floats:
    contributions = found.contributions
    summed: Floats = (contributions if contributions.dim() == 3 else contributions.sum(dim=2)).numpy()
    return summed


def _explain_bar(
    model: SavedModel, bars: _Bars, indicators: Mapping[str, tuple[str, float | None]]
) -> dict[str, object]:
    outputs, baseline, of_outputs = bars.outputs[0], bars.baseline_outputs, bars.contributions[0]
    answer: dict[str, object]
    if model.classes:
        order = np.argsort(-outputs, kind="stable")
        chosen, other = int(order[0]), int(order[1])
        contributions = of_outputs[chosen] - of_outputs[other]
        value, start = float(outputs[chosen] - outputs[other]), float(baseline[chosen] - baseline[other])
        probabilities = torch.from_numpy(bars.outputs).softmax(dim=1).numpy()
        threshold = model.strategy.decisions.confidence_threshold
        names = (model.classes[chosen], model.classes[other])
        answer = {
            "decision": str(decide_by_class(probabilities, model.classes, threshold)[0]),
            "answer": names[0],
            "runner_up": names[1],
            "probabilities": dict(zip(model.classes, probabilities[0].tolist(), strict=True)),
        }
    else:
        contributions, value, start = of_outputs[0], float(outputs[0]), float(baseline[0])
        costs = model.strategy.decisions.cost_model
        names = ("a higher forecast", "a lower forecast")
        answer = {"forecast": value, "decision": str(decide_by_forecast(outputs, costs)[0]) if costs else "hold"}
    explained = value - start
    places = [place for place, column in enumerate(bars.columns) if column.kind == "membership"]
    memberships = [bars.columns[place] for place in places]
    degrees, speaking = bars.values[0][places], contributions[places]
    timeframes = len(model.strategy.data.timeframes)
    rules = [
        rule_at(memberships, degrees, speaking * sign, name, timeframes=timeframes)
        for name, sign in zip(names, (1.0, -1.0), strict=True)
    ]
    return {
        "time": bars.times[0].isoformat(),
        **answer,
        #: What is explained: the logit difference (or the forecast), at the bar and at the mean input.
        "value": value,
        "value_at_mean_input": start,
        "explained": explained,
        "residual": float(contributions.sum()) - explained,
        "inputs": _inputs(bars, contributions, indicators),
        "rules": [rule for rule in rules if rule is not None],
    }


def _inputs(
    bars: _Bars, contributions: Floats, indicators: Mapping[str, tuple[str, float | None]]
) -> list[dict[str, object]]:
    """Each input with its features, what contributes most first."""
    groups = by_input(bars.columns)
    sums = {name: float(contributions[places].sum()) for name, places in groups.items()}
    inputs: list[dict[str, object]] = []
    for name in sorted(groups, key=lambda name: -abs(sums[name])):
        indicator, value = indicators.get(name, (None, None))
        features = [_feature(bars, place, contributions) for place in groups[name]]
        inputs.append(
            {
                "input": name,
                "indicator": indicator,
                "indicator_value": value,
                "contribution": sums[name],
                "features": features,
            }
        )
    return inputs


def _feature(bars: _Bars, place: int, contributions: Floats) -> dict[str, object]:
    column, value = bars.columns[place], float(bars.values[0][place])
    return {
        "feature": column.name,
        "membership": column.membership,
        "lag": column.lag,
        #: The degree of a membership, or the normalised number.
        "value": value,
        "fires": column.kind == "membership" and value > FIRES,
        "contribution": float(contributions[place]),
    }


def _explain_model(model: SavedModel, bars: _Bars) -> dict[str, object]:
    """How often each membership fires, what it contributes then, and the strongest rules of each answer."""
    of_answers = _by_answer(model, bars)
    places = [place for place, column in enumerate(bars.columns) if column.kind == "membership"]
    columns = [bars.columns[place] for place in places]
    degrees = bars.values[:, places]
    timeframes = len(model.strategy.data.timeframes)
    memberships = []
    for place, column in zip(places, columns, strict=True):
        fires = bars.values[:, place] > FIRES
        memberships.append(
            {
                "feature": column.name,
                "fires": float(fires.mean()),
                "contributions": {
                    answer: float(of[fires, place].mean()) if fires.any() else None for answer, of in of_answers.items()
                },
            }
        )
    return {
        "bars": len(bars.times),
        "first": bars.times[0].isoformat(),
        "last": bars.times[-1].isoformat(),
        "memberships": memberships,
        "rules": [
            rule
            for answer, of in of_answers.items()
            for rule in usual_rules(columns, degrees, of[:, places], answer, timeframes=timeframes)
        ],
    }


def _by_answer(model: SavedModel, bars: _Bars) -> Mapping[str, Floats]:
    """Answer → contributions to it, (bars, features): to a class's logit over the mean of all, or to the forecast."""
    if model.classes:
        centred = bars.contributions - bars.contributions.mean(axis=1, keepdims=True)
        return {name: centred[:, number] for number, name in enumerate(model.classes)}
    return {"a higher forecast": bars.contributions[:, 0], "a lower forecast": -bars.contributions[:, 0]}
