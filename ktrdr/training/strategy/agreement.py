"""What sections must agree on with each other: labels, loss and output; the size of the network; what is used at all.

Imports the sections' tables and the model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ktrdr.training.strategy.findings import Findings, Path, one_of, shown
from ktrdr.training.strategy.keys import Section
from ktrdr.training.strategy.model import Input, Model, ModelFeatures, Recurrent
from ktrdr.training.strategy.names import FeatureColumn, columns_of, with_lags
from ktrdr.training.strategy.sections.context import Context
from ktrdr.training.strategy.sections.data import Data
from ktrdr.training.strategy.sections.fuzzy_sets import FuzzySets
from ktrdr.training.strategy.sections.indicators import Indicators
from ktrdr.training.strategy.sections.labels import KINDS
from ktrdr.training.strategy.sections.training import LOSS_PARAMETERS, LOSSES
from ktrdr.training.strategy.summary import parameter_count

#: 50 million weights and their optimizer state fill 800 MB; a trading model has thousands.
MOST_WEIGHTS = 50_000_000
MOST_FEATURES = 2_000


def check_output(training: Section, decisions: Section, findings: Findings) -> None:
    """Labels, loss and monitor must fit the output format; keys that it makes idle are reported."""
    output_format = decisions["output_format"]
    if output_format is None:
        return
    labels, loss, stopping = training["labels"], training["loss"], training["early_stopping"]
    if labels is not None and KINDS[labels.source] != output_format:
        fitting = [source for source, kind in KINDS.items() if kind == output_format]
        where = (*training.where("labels"), "source")
        problem = f"{labels.source!r} labels do not fit decisions.output_format {output_format!r}"
        findings.wrong(where, problem, f"{one_of(fitting)}, or output_format: {KINDS[labels.source]}")
    if loss is not None and loss not in LOSSES[output_format]:
        problem = f"the loss {loss!r} does not fit decisions.output_format {output_format!r}"
        findings.wrong(training.where("loss"), problem, one_of(LOSSES[output_format]))
    if stopping is not None and stopping.monitor == "val_accuracy" and output_format == "regression":
        where = (*training.where("early_stopping"), "monitor")
        findings.wrong(where, "'val_accuracy' is not known in a regression", "val_loss")
    if output_format == "regression" and "class_weights" in training.given:
        findings.warn(training.where("class_weights"), "'class_weights' has no effect in a regression")
    used = loss or LOSSES[output_format][0]
    for owner, (parameter, _) in LOSS_PARAMETERS.items():
        if parameter in training.given and used != owner:
            findings.warn(training.where(parameter), f"{parameter!r} has no effect with the loss {used!r}")


def check_sources(indicators: Indicators, context: Context, findings: Findings) -> None:
    """Every `data_source` must be the name of an entry of `context_data`."""
    for id, indicator in indicators.items():
        if indicator is None or indicator.data_source is None or context.is_wrong:
            continue
        if indicator.data_source not in context.series:
            fix = one_of(context.series) if context.series else "declare it in context_data"
            where = ("indicators", id, "data_source")
            findings.wrong(where, f"there is no context series {shown(indicator.data_source)}", fix)


def check_features(
    inputs: tuple[Input, ...],
    fuzzy_sets: FuzzySets,
    timeframes: tuple[str, ...],
    model: Model | None,
    findings: Findings,
) -> None:
    """No two features may share a name, and the network must be of a size that a worker can hold."""
    added = ModelFeatures() if model is None else model.features
    columns = columns_of(inputs, fuzzy_sets, timeframes, added)
    count = len(columns) * (1 + added.lookback_periods)
    if count <= MOST_FEATURES:
        columns = with_lags(columns, added.lookback_periods)
    _check_names(columns, findings)
    if count > MOST_FEATURES:
        findings.wrong(("nn_inputs",), f"they make {count} features", f"at most {MOST_FEATURES}")
    elif model is not None:
        weights = parameter_count(model, inputs=count, outputs=1)
        if weights > MOST_WEIGHTS:
            key = "hidden_size" if isinstance(model.architecture, Recurrent) else "hidden_layers"
            problem = f"the network would have at least {weights} weights"
            findings.wrong(("model", "architecture", key), problem, f"at most {MOST_WEIGHTS}")


def without_idle_scaling(inputs: tuple[Input, ...], model: Model, findings: Findings) -> Model:
    """The model; a `scale_features` that finds nothing to scale is reported and taken out."""
    added = model.features
    is_raw = any(entry.raw_indicator is not None and entry.normalization == "none" for entry in inputs)
    if not added.scale_features or added.include_price_context or is_raw:
        return model
    problem = "'scale_features' has no effect: every feature is a membership or has a normalization of its own"
    findings.warn(("model", "features", "scale_features"), problem)
    return replace(model, features=replace(added, scale_features=False))


def _check_names(columns: list[FeatureColumn], findings: Findings) -> None:
    """One fault for each input that makes a feature which another input, or `model.features`, makes too."""
    first: dict[str, FeatureColumn] = {}
    told: set[int | None] = set()
    for column in columns:
        other = first.setdefault(column.name, column)
        # The input that is to change is the later one; where the later feature is not an input's own, the other's.
        input, maker = (column.input, other.input) if column.input is not None else (other.input, None)
        if other is column or input in told:
            continue
        told.add(input)
        by = "model.features" if maker is None or column.lag or other.lag else f"nn_inputs[{maker}]"
        problem = f"the feature {column.name!r} is given by {by} already"
        where: Path = () if input is None else ("nn_inputs", input)
        findings.wrong(where, problem, "leave this input out, or rename its fuzzy set")


class Used(NamedTuple):
    """What some entry of `nn_inputs` reads, directly or not."""

    indicators: set[str]
    fuzzy_sets: set[str]
    timeframes: set[str]
    context: set[str]


def used_by(
    inputs: tuple[Input, ...], fuzzy_sets: FuzzySets, indicators: Indicators, data: Data, model: Model | None
) -> Used:
    sets = {entry.fuzzy_set for entry in inputs if entry.fuzzy_set}
    references = {entry.raw_indicator for entry in inputs if entry.raw_indicator}
    references |= {fuzzy_set.indicator for id in sets if (fuzzy_set := fuzzy_sets.get(id))}
    ids = {reference.partition(".")[0] for reference in references}
    timeframes = {timeframe for entry in inputs for timeframe in entry.timeframes}
    if data.training_data is not None:
        timeframes.add(data.training_data.base_timeframe)
    if model is None or model.features.include_price_context:
        timeframes.update(data.timeframes)
    sources = {indicator.data_source for id in ids if (indicator := indicators.get(id)) and indicator.data_source}
    return Used(ids, sets, timeframes, sources)


def report_unused(indicators: Indicators, fuzzy_sets: FuzzySets, used: Used, findings: Findings) -> None:
    unused: list[Path] = [("indicators", id) for id in indicators if id not in used.indicators]
    unused += [("fuzzy_sets", id) for id in fuzzy_sets if id not in used.fuzzy_sets]
    for path in unused:
        findings.warn(path, f"{shown(path[1])} has no effect: no entry of nn_inputs reads it")


def report_unused_data(data: Data, context: Context, used: Used, findings: Findings) -> None:
    for position, timeframe in enumerate(data.timeframes):
        if timeframe not in used.timeframes and len(data.timeframes) > 1:
            where = (*data.where, position)
            findings.warn(where, f"{shown(timeframe)} has no effect: no entry of nn_inputs reads it")
    for name in context.series:
        if name not in used.context:
            findings.warn(context.paths[name], f"{shown(name)} has no effect: no indicator that is used reads it")
