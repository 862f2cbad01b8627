"""A strategy file, as text or as plain data, to a `Strategy`: the entry point of the grammar.

Imports the sections and the reader; neither torch nor pandas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.agreement import (
    check_features,
    check_output,
    check_sources,
    report_unused,
    report_unused_data,
    used_by,
    without_idle_scaling,
)
from ktrdr.training.strategy.findings import Findings, Path, shown
from ktrdr.training.strategy.keys import REQUIRED, Key, described, entries, read
from ktrdr.training.strategy.mapping import to_mapping
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.names import check_name
from ktrdr.training.strategy.plain import check_plain
from ktrdr.training.strategy.reader import read_text
from ktrdr.training.strategy.sections.context import check_context, read_context
from ktrdr.training.strategy.sections.data import Submission, read_data
from ktrdr.training.strategy.sections.decisions import build_decisions, read_decisions
from ktrdr.training.strategy.sections.fuzzy_sets import read_fuzzy_sets
from ktrdr.training.strategy.sections.indicators import read_indicators
from ktrdr.training.strategy.sections.inputs import read_inputs
from ktrdr.training.strategy.sections.network import read_network
from ktrdr.training.strategy.sections.training import build_training, read_training
from ktrdr.training.strategy.values import anything, text

__all__ = ["Parsed", "from_mapping", "parse", "to_mapping"]


@dataclass(frozen=True, slots=True)
class Parsed:
    strategy: Strategy
    #: Keys that have no effect, each with its path and the nearest known key.
    warnings: tuple[Fault, ...]
    #: The places, under canonical names, where a default stands in for what the file does not say.
    defaults: frozenset[Path]


def parse(
    text: str | bytes,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    start: str | date | datetime | None = None,
    end: str | date | datetime | None = None,
    strict: bool = False,
) -> Parsed:
    """Reads a strategy file in YAML or JSON.

    `symbols`, `timeframes`, `start` and `end` win over the file's. With `strict` a warning counts as a fault.
    Raises `InvalidInputError` with every fault of the file.
    """
    submission = Submission(symbols=symbols, timeframes=timeframes, start=start, end=end)
    return _resolve(read_text(text), submission, strict)


def from_mapping(
    mapping: Mapping[str, object],
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    start: str | date | datetime | None = None,
    end: str | date | datetime | None = None,
    strict: bool = False,
) -> Parsed:
    """Reads a strategy that is plain data already, such as the body of a request; otherwise as `parse`."""
    check_plain(mapping)
    submission = Submission(symbols=symbols, timeframes=timeframes, start=start, end=end)
    return _resolve(mapping, submission, strict)


@described({"type": ["string", "number"]})
def _version(value: Any, path: Path, findings: Findings) -> Any:
    """Files write 3.0 without quotes, which YAML reads as a number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text(100)(str(value) if is_number else value, path, findings)


@described({"type": "object"})
def _deployment(value: Any, path: Path, findings: Findings) -> Any:
    return value if isinstance(value, dict) else findings.wrong(path, f"{shown(value)} is not a map", "a map")


_METADATA = (
    Key("description", text(20_000), None),
    Key("version", _version, None),
    Key("scope", text(1000), None),
    Key("hypothesis", text(20_000), None),
    Key("deployment", _deployment, None),
)
ROOT = (
    Key("name", check_name, REQUIRED, example="name: trend_follower"),
    *_METADATA,
    Key("training_data", anything, None),
    Key("context_data", check_context, None),
    Key("indicators", anything, REQUIRED),
    Key("fuzzy_sets", anything, None),
    Key("nn_inputs", anything, REQUIRED),
    Key("model", anything, None),
    Key("decisions", anything, REQUIRED, example="decisions: {output_format: classification}"),
    Key("training", anything, REQUIRED, example="training: {epochs: 50}"),
)


def _resolve(document: object, submission: Submission, strict: bool) -> Parsed:
    _require_version_3(document)
    findings = Findings()
    strategy = _read_strategy(document, submission, findings)
    faults = findings.faults + (findings.warnings if strict else [])
    if faults or strategy is None:
        raise InvalidInputError(faults, warnings=() if strict else findings.warnings)
    return Parsed(strategy, tuple(findings.warnings), frozenset(findings.defaults))


def _require_version_3(document: object) -> None:
    if not isinstance(document, Mapping):
        problem = f"the file is {shown(document)}, not a map of keys and values"
        raise InvalidInputError([Fault((), problem, "a version 3 strategy file begins with its name")])
    fix = "version 3 has `indicators` as a map of ids, and a list `nn_inputs`"
    if not isinstance(document.get("indicators"), Mapping):
        found = shown(document["indicators"]) if "indicators" in document else "missing"
        problem = f"this is not a version 3 strategy file: `indicators` is {found}"
        raise InvalidInputError([Fault(("indicators",), problem, fix)])
    if "nn_inputs" not in document:
        problem = "this is not a version 3 strategy file: `nn_inputs` is missing"
        raise InvalidInputError([Fault(("nn_inputs",), problem, fix)])


def _read_strategy(document: object, submission: Submission, findings: Findings) -> Strategy | None:
    """Reads every section, so that the faults of all of them are found; None when there is any."""
    root = read(entries(document, (), findings), (), ROOT, findings)

    def section(name: str) -> Any:
        return {} if root[name] is None else root[name]

    data = read_data(section("training_data"), submission, findings)
    context = read_context(root["context_data"], findings)
    indicators = read_indicators(section("indicators"), findings)
    check_sources(indicators, context, findings)
    fuzzy_sets = read_fuzzy_sets(section("fuzzy_sets"), indicators, findings)
    inputs = read_inputs(root["nn_inputs"], data.timeframes, indicators, fuzzy_sets, findings)
    network = read_network(section("model"), findings)
    training = read_training(section("training"), network.training, findings)
    decisions = read_decisions(section("decisions"), findings)
    check_output(training, decisions, findings)
    if inputs is None:
        return None
    check_features(inputs, fuzzy_sets, data.timeframes, network.model, findings)
    used = used_by(inputs, fuzzy_sets, indicators, data, network.model)
    report_unused(indicators, fuzzy_sets, used, findings)
    report_unused_data(data, context, used, findings)
    if findings.faults or data.training_data is None or network.model is None:
        return None
    model = without_idle_scaling(inputs, network.model, findings)
    return Strategy(
        name=root["name"],
        metadata={key.name: root[key.name] for key in _METADATA if root[key.name] is not None},
        data=replace(data.training_data, timeframes=tuple(t for t in data.timeframes if t in used.timeframes)),
        context={name: series for name, series in context.series.items() if name in used.context},
        indicators={id: indicator for id, indicator in indicators.items() if indicator and id in used.indicators},
        fuzzy_sets={id: fuzzy_set for id, fuzzy_set in fuzzy_sets.items() if fuzzy_set and id in used.fuzzy_sets},
        inputs=inputs,
        model=model,
        training=build_training(training, decisions["output_format"]),
        decisions=build_decisions(decisions),
    )
