"""What sections must agree on with each other: labels, loss and output; the size of the network; what is used at all.

Imports the sections' tables and the model.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from ktrdr.training.strategy.findings import Findings, one_of
from ktrdr.training.strategy.keys import Section
from ktrdr.training.strategy.model import Input, Mlp, Model, Recurrent
from ktrdr.training.strategy.sections.fuzzy_sets import FuzzySets
from ktrdr.training.strategy.sections.indicators import Indicators
from ktrdr.training.strategy.sections.labels import KINDS
from ktrdr.training.strategy.sections.training import LOSS_PARAMETERS, LOSSES

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


def check_features(inputs: tuple[Input, ...], fuzzy_sets: FuzzySets, model: Model | None, findings: Findings) -> None:
    """No two features may share a name, and the network must be of a size that a worker can hold."""
    first: dict[str, int] = {}
    repeated: dict[int, str] = {}
    count = 0
    for position, entry in enumerate(inputs):
        fuzzy_set = fuzzy_sets.get(entry.fuzzy_set) if entry.fuzzy_set else None
        words = [m.name for m in fuzzy_set.memberships] if fuzzy_set else []
        stems = [f"{entry.fuzzy_set}_{word}" for word in words] if entry.fuzzy_set else [f"{entry.raw_indicator}_raw"]
        for name in (f"{timeframe}_{stem}" for timeframe in entry.timeframes for stem in stems):
            count += 1
            if first.setdefault(name, position) != position:
                repeated.setdefault(position, name)
    for position, name in repeated.items():
        problem = f"the feature {name!r} is given by nn_inputs[{first[name]}] already"
        findings.wrong(("nn_inputs", position), problem, "leave this input out, or rename its fuzzy set")
    if count > MOST_FEATURES:
        findings.wrong(("nn_inputs",), f"they make {count} features", f"at most {MOST_FEATURES}")
    elif model is not None:
        weights = _weights(count, model)
        if weights > MOST_WEIGHTS:
            problem = f"the network would have {weights} weights"
            findings.wrong(("model", "architecture", "hidden_layers"), problem, f"at most {MOST_WEIGHTS}")


def _weights(inputs: int, model: Model) -> int:
    """About how many weights the network has."""
    match model.architecture:
        case Mlp(hidden_layers=layers):
            return sum(a * b for a, b in pairwise((inputs, *layers, 3)))
        case Recurrent(hidden_size=size, num_layers=layers_count):
            return 4 * size * (inputs + size + 2 * size * (layers_count - 1))


class Used(NamedTuple):
    """The ids that some entry of `nn_inputs` reads, directly or through a fuzzy set."""

    indicators: set[str]
    fuzzy_sets: set[str]


def used_ids(inputs: tuple[Input, ...], fuzzy_sets: FuzzySets) -> Used:
    sets = {entry.fuzzy_set for entry in inputs if entry.fuzzy_set}
    references = {entry.raw_indicator for entry in inputs if entry.raw_indicator}
    references |= {fuzzy_set.indicator for id in sets if (fuzzy_set := fuzzy_sets.get(id))}
    return Used({reference.partition(".")[0] for reference in references}, sets)


def report_unused(indicators: Indicators, fuzzy_sets: FuzzySets, used: Used, findings: Findings) -> None:
    unused = [("indicators", id) for id in indicators if id not in used.indicators]
    unused += [("fuzzy_sets", id) for id in fuzzy_sets if id not in used.fuzzy_sets]
    for path in unused:
        findings.warn(path, f"{path[1]!r} has no effect: no entry of nn_inputs reads it")
