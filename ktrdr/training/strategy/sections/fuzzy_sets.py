"""Section 4: `fuzzy_sets`, how an indicator's values are put into words. Imports the checks and the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from ktrdr.training.strategy.findings import WRONG, Findings, Path, shown
from ktrdr.training.strategy.keys import REQUIRED, Entries, Entry, Key, entries, read
from ktrdr.training.strategy.model import FuzzySet, Membership, Shape
from ktrdr.training.strategy.names import check_id
from ktrdr.training.strategy.sections.indicators import Indicators, check_reference
from ktrdr.training.strategy.values import anything, choice, listing, number

MOST_FUZZY_SETS = 500
MOST_MEMBERSHIPS = 50

#: Shape → the names of its parameters.
SHAPES: Mapping[Shape, tuple[str, ...]] = {
    "triangular": ("a", "b", "c"),
    "trapezoidal": ("a", "b", "c", "d"),
    "gaussian": ("mu", "sigma"),
    "sigmoid": ("centre", "slope"),
    "bell": ("width", "slope", "centre"),
}
#: Other words for a shape, among them those of the common fuzzy logic toolboxes.
SYNONYMS: Mapping[str, Shape] = {
    "triangle": "triangular",
    "trimf": "triangular",
    "trapezoid": "trapezoidal",
    "trapezium": "trapezoidal",
    "trapmf": "trapezoidal",
    "gauss": "gaussian",
    "gaussmf": "gaussian",
    "sigmoidal": "sigmoid",
    "sigmf": "sigmoid",
    "logistic": "sigmoid",
    "gbell": "bell",
    "gbellmf": "bell",
    "bell_shaped": "bell",
    "generalized_bell": "bell",
    "generalised_bell": "bell",
}
#: Shape → the parameters that must be above 0.
POSITIVE: Mapping[Shape, tuple[str, ...]] = {"gaussian": ("sigma",), "bell": ("width", "slope")}
#: A bare list means the shape that has as many parameters.
SHORTHAND: Mapping[int, Shape] = {3: "triangular", 4: "trapezoidal"}

#: Fuzzy set id → the set, or None when its definition is wrong.
FuzzySets = Mapping[str, FuzzySet | None]


def read_fuzzy_sets(value: object, indicators: Indicators, findings: Findings) -> FuzzySets:
    given = entries(value, ("fuzzy_sets",), findings)
    if given is not None and not 1 <= len(given) <= MOST_FUZZY_SETS:
        problem = f"there are {len(given)} fuzzy sets" if given else "there is no fuzzy set"
        findings.wrong(("fuzzy_sets",), problem, f"1 to {MOST_FUZZY_SETS} fuzzy sets")
        return {}
    return {id: _read_fuzzy_set(id, entry, indicators, findings) for id, entry in (given or {}).items()}


def _read_fuzzy_set(id: str, entry: Entry, indicators: Indicators, findings: Findings) -> FuzzySet | None:
    faults = len(findings.faults)
    check_id(id, entry.path, findings)
    given = entries(entry.value, entry.path, findings)
    if given is None:
        return None
    source = given.pop("indicator", None)
    reference = None
    if source is None:
        findings.wrong((*entry.path, "indicator"), "'indicator' is missing", "for example indicator: rsi_14")
    else:
        reference = check_reference(source.value, source.path, indicators, findings)
    forms = _forms(given, findings)
    if not 1 <= len(forms) <= MOST_MEMBERSHIPS:
        findings.wrong(entry.path, f"it has {len(forms)} memberships", f"1 to {MOST_MEMBERSHIPS} memberships")
        return None
    memberships = [_read_membership(name, membership, findings) for name, membership in forms.items()]
    if len(findings.faults) > faults or reference is None:
        return None
    return FuzzySet(id=id, indicator=reference, memberships=tuple(m for m in memberships if m is not None))


def _forms(given: Entries, findings: Findings) -> Entries:
    """Name → form, in the file's order. They may also be the items of a list `memberships`, each with its `name`:
    a list keeps its order where canonical JSON sorts the keys of a map, and the order is that of the features."""
    listed = given.get("memberships")
    if listed is None or not isinstance(listed.value, list) or not any(isinstance(i, Mapping) for i in listed.value):
        return given
    forms = {name: entry for name, entry in given.items() if name != "memberships"}
    for position, item in enumerate(listed.value):
        path = (*listed.path, position)
        form = entries(item, path, findings) or {}
        name = form.pop("name", Entry(None, (*path, "name")))
        if not isinstance(name.value, str):
            findings.wrong(name.path, f"{shown(name.value)} is no name", "for example name: low")
        elif name.value in forms:
            findings.wrong(name.path, f"{shown(name.value)} is given twice", "another name")
        else:
            forms[name.value] = Entry({key: entry.value for key, entry in form.items()}, path)
    return forms


def _read_membership(name: str, entry: Entry, findings: Findings) -> Membership | None:
    path = entry.path
    if check_id(name, path, findings) is WRONG:
        return None
    shape: Shape | None
    if isinstance(entry.value, list):
        shape, parameters, where = SHORTHAND.get(len(entry.value)), entry.value, path
        if shape is None:
            fix = "three numbers (triangular) or four (trapezoidal)"
            findings.wrong(path, f"{shown(entry.value)} is no membership", fix)
            return None
    elif isinstance(entry.value, Mapping):
        section = read(entries(entry.value, path, findings), path, FORM, findings)
        shape, parameters, where = section["type"], section["parameters"], section.where("parameters")
        if section.is_wrong or shape is None:
            return None
    else:
        fix = "a list such as [20, 30, 40], or {type, parameters}"
        findings.wrong(path, f"{shown(entry.value)} is no membership", fix)
        return None
    numbers = _read_parameters(shape, parameters, where, findings)
    return None if numbers is None else Membership(name=name, shape=shape, parameters=numbers)


def _read_parameters(shape: Shape, value: Any, path: Path, findings: Findings) -> tuple[float, ...] | None:
    names = SHAPES[shape]
    form = f"{shape} [{', '.join(names)}]"
    if isinstance(value, list) and len(value) != len(names):
        findings.wrong(path, f"{shown(value)} is the wrong length for {form}", f"{len(names)} numbers")
        return None
    numbers = listing(number(), len(names), len(names))(value, path, findings)
    if numbers is WRONG:
        return None
    positive = POSITIVE.get(shape, ())
    faulty = [position for position, name in enumerate(names) if name in positive and numbers[position] <= 0]
    for position in faulty:
        fix = f"{form} with {' and '.join(f'{name} > 0' for name in positive)}"
        findings.wrong((*path, position), f"the {names[position]} {numbers[position]:g} is not above 0", fix)
    if shape == "sigmoid" and numbers[1] == 0:
        findings.wrong((*path, 1), "the slope is 0, which tells no values apart", f"{form} with another slope")
        return None
    if shape in ("triangular", "trapezoidal") and list(numbers) != sorted(numbers):
        given = ", ".join(f"{n:g}" for n in numbers)
        findings.wrong(path, f"[{given}] is not in ascending order", f"{form} with {' <= '.join(names)}")
        return None
    return None if faulty else tuple(numbers)


FORM = (
    Key("type", choice(*get_args(Shape), synonyms=SYNONYMS), REQUIRED, example="type: triangular"),
    Key("parameters", anything, REQUIRED, example="parameters: [20, 30, 40]"),
)
