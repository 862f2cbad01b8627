"""Section 4: `nn_inputs`, what the model sees and in which order. Imports the checks and the model."""

from __future__ import annotations

from typing import Any

from ktrdr.training.strategy.findings import WRONG, Findings, Path, nearest, one_of, shown
from ktrdr.training.strategy.keys import REQUIRED, Key, entries, read
from ktrdr.training.strategy.model import Input
from ktrdr.training.strategy.sections.data import check_timeframe
from ktrdr.training.strategy.sections.fuzzy_sets import FuzzySets
from ktrdr.training.strategy.sections.indicators import Indicators, check_reference
from ktrdr.training.strategy.values import anything, choice, listing

MOST_INPUTS = 500


def read_inputs(
    value: object, timeframes: tuple[str, ...], indicators: Indicators, fuzzy_sets: FuzzySets, findings: Findings
) -> tuple[Input, ...] | None:
    """The inputs in order, or None when one is wrong. With no `timeframes` or no `fuzzy_sets`, which were wrong then,
    references to them are not looked up."""

    def read_input(value: Any, path: Path, findings: Findings) -> Any:
        faults = len(findings.faults)
        section = read(entries(value, path, findings), path, INPUT, findings)
        if section.is_wrong:
            return WRONG
        if ("fuzzy_set" in section.given) == ("raw_indicator" in section.given):
            findings.wrong(path, "exactly one of 'fuzzy_set' and 'raw_indicator' must be given", "keep one of the two")
            return WRONG
        fuzzy_set, raw_indicator = section["fuzzy_set"], section["raw_indicator"]
        if raw_indicator is not None:
            check_reference(raw_indicator, section.where("raw_indicator"), indicators, findings)
        else:
            _check_fuzzy_set(fuzzy_set, section.where("fuzzy_set"), fuzzy_sets, findings)
            if "normalization" in section.given:
                where = section.where("normalization")
                findings.warn(where, "'normalization' has no effect: memberships are between 0 and 1 already")
        chosen = _timeframes(section["timeframes"], section.where("timeframes"), timeframes, findings)
        if len(findings.faults) > faults:
            return WRONG
        return Input(
            fuzzy_set=fuzzy_set,
            raw_indicator=raw_indicator,
            timeframes=chosen,
            normalization=section["normalization"] if raw_indicator is not None else "none",
        )

    inputs = listing(read_input, 1, MOST_INPUTS)(value, ("nn_inputs",), findings)
    return None if inputs is WRONG else inputs


def _check_fuzzy_set(id: object, path: Path, fuzzy_sets: FuzzySets, findings: Findings) -> None:
    if fuzzy_sets and (not isinstance(id, str) or id not in fuzzy_sets):
        known = f"one of {', '.join(list(fuzzy_sets)[:20])}; the nearest is {nearest(str(id), fuzzy_sets)!r}"
        findings.wrong(path, f"there is no fuzzy set {shown(id)}", known)


def _timeframes(value: Any, path: Path, known: tuple[str, ...], findings: Findings) -> tuple[str, ...]:
    if value == "all":
        return known
    given = [value] if isinstance(value, str) else value
    chosen = listing(check_timeframe, 1, 10, distinct=True)(given, path, findings)
    if chosen is WRONG:
        return ()
    for position, timeframe in enumerate(chosen):
        if known and timeframe not in known:
            where = path if isinstance(value, str) else (*path, position)
            problem = f"{timeframe!r} is not among the timeframes of training_data"
            findings.wrong(where, problem, one_of((*known, "all")))
    return tuple(chosen)


INPUT = (
    Key("fuzzy_set", anything, None),
    Key("raw_indicator", anything, None),
    Key("timeframes", anything, REQUIRED, example="timeframes: all"),
    Key("normalization", choice("none", "minmax", "zscore", "robust"), "none"),
)
