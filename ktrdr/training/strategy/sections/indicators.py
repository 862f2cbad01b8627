"""Section 3: `indicators`, checked against the registry of indicator types. Imports the registry and the checks."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from ktrdr.training.indicators.registry import REGISTRY, IndicatorType, Parameter, find
from ktrdr.training.strategy.findings import Findings, Path, nearest, one_of, shown
from ktrdr.training.strategy.keys import Check, Entries, Entry, Key, entries, read
from ktrdr.training.strategy.model import Indicator, Scalar
from ktrdr.training.strategy.names import check_id, check_series
from ktrdr.training.strategy.values import choice, flag, number, whole

MOST_INDICATORS = 200

#: Pairs of parameters of which the first must be smaller.
ORDERED = (("fast_period", "slow_period"),)

#: Indicator id → the indicator, or None when its definition is wrong; what refers to it is still right.
Indicators = Mapping[str, Indicator | None]


def read_indicators(value: object, findings: Findings) -> Indicators:
    importlib.import_module("ktrdr.training.indicators")  # fills the registry
    given = entries(value, ("indicators",), findings) or {}
    if len(given) > MOST_INDICATORS:
        findings.wrong(("indicators",), f"there are {len(given)} indicators", f"at most {MOST_INDICATORS}")
        return {}
    return {id: _read_indicator(id, entry, findings) for id, entry in given.items()}


def _read_indicator(id: str, entry: Entry, findings: Findings) -> Indicator | None:
    faults = len(findings.faults)
    check_id(id, entry.path, findings)
    given = entries(entry.value, entry.path, findings)
    if given is None:
        return None
    type = _read_type(given.pop("type", None), entry.path, findings)
    if type is None:
        return None
    section = read(_spread(given, type, findings), entry.path, keys_of(type), findings)
    params: dict[str, Scalar] = {name: section[name] for name in type.parameters}
    for low, high in ORDERED:
        smaller, larger = section[low], section[high]
        if smaller is not None and larger is not None and smaller >= larger:
            problem = f"{low} {smaller} is not smaller than {high} {larger}"
            findings.wrong(section.where(low), problem, f"a {low} below the {high}")
    if len(findings.faults) > faults:
        return None
    return Indicator(id=id, type=type.name, params=params, data_source=section["data_source"])


def _read_type(entry: Entry | None, path: Path, findings: Findings) -> IndicatorType | None:
    path = (*path, "type")
    if entry is None or not isinstance(entry.value, str):
        problem = "'type' is missing" if entry is None else f"{shown(entry.value)} is not the name of an indicator"
        findings.wrong(path, problem, "for example type: rsi")
        return None
    type = find(entry.value)
    if type is None:
        known = [name for known in REGISTRY.values() for name in (known.name, *known.aliases)]
        fix = f"the nearest is {nearest(entry.value, known)!r}"
        findings.wrong(path, f"{shown(entry.value)} is not an indicator", fix)
    return type


def keys_of(type: IndicatorType) -> tuple[Key, ...]:
    keys = [Key(name, _check(parameter), parameter.default) for name, parameter in type.parameters.items()]
    return (*keys, Key("data_source", check_series, None))


def _check(parameter: Parameter) -> Check:
    low = -float("inf") if parameter.low is None else parameter.low
    high = float("inf") if parameter.high is None else parameter.high
    match parameter.kind:
        case "integer":
            return whole(int(max(low, -(10**9))), int(min(high, 10**9)))
        case "number":
            return number(low, high, above_low=parameter.low_open, below_high=parameter.high_open)
        case "boolean":
            return flag
        case "choice":
            return choice(*parameter.choices)


def _spread(given: Entries, type: IndicatorType, findings: Findings) -> Entries:
    """The entries under canonical names. An alias may stand for several parameters (`period` of squeezeintensity);
    those of them that are given themselves keep their own value."""
    spread = dict(given)
    aliases = {alias for parameter in type.parameters.values() for alias in parameter.aliases}
    for alias in [name for name in given if name in aliases]:
        meant = [name for name, parameter in type.parameters.items() if alias in parameter.aliases]
        free = [name for name in meant if name not in given]
        entry = spread.pop(alias)
        if not free:
            findings.wrong(entry.path, f"{alias!r} means the same as {' and '.join(meant)}", "keep one of the two")
        spread |= dict.fromkeys(free, entry)
    return spread


def check_reference(value: object, path: Path, indicators: Indicators, findings: Findings) -> str | None:
    """A reference `<id>` or `<id>.<output>` that exists, or None."""
    if not isinstance(value, str):
        findings.wrong(path, f"{shown(value)} is not the id of an indicator", "for example rsi_14 or macd_12_26_9.line")
        return None
    id, dot, output = value.partition(".")
    if id not in indicators:
        known = f"one of {', '.join(list(indicators)[:20])}; the nearest is {nearest(id, indicators)!r}"
        findings.wrong(path, f"there is no indicator {shown(id)}", known if indicators else "define it in indicators")
        return None
    indicator = indicators[id]
    if dot and indicator is not None:
        outputs = REGISTRY[indicator.type].outputs
        if not outputs:
            findings.wrong(path, f"{shown(value)} names an output, but {indicator.type} has only one", f"write {id}")
            return None
        if output not in outputs:
            findings.wrong(path, f"{indicator.type} has no output {shown(output)}", one_of(outputs))
            return None
    return value
