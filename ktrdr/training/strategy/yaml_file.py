"""A resolved strategy as a YAML file for people: every default written out and marked as one.

Reading the file again gives an equal strategy. Imports the mapping and the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from ktrdr.training.strategy.findings import Path
from ktrdr.training.strategy.mapping import to_mapping
from ktrdr.training.strategy.model import TIMEFRAMES, Strategy

#: Text that every version of YAML reads as text without quotes.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[.^=-][A-Za-z0-9_]+)*")
#: Control characters, and what YAML takes for the end of a line although JSON does not.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
_MARK = "  # default"


def to_yaml(strategy: Strategy, defaults: Collection[Path]) -> str:
    """The whole strategy; `defaults` are the places, as in `Parsed`, that the file says nothing of."""
    mapping: dict[str, Any] = to_mapping(strategy)
    mapping["fuzzy_sets"] = {id: _by_name(fuzzy_set) for id, fuzzy_set in mapping["fuzzy_sets"].items()}
    if not mapping["training_data"]["date_range"]:
        del mapping["training_data"]["date_range"]
    return "\n".join(_block(mapping, (), defaults)) + "\n"


def _by_name(fuzzy_set: dict[str, Any]) -> dict[str, Any]:
    """Memberships as people write them: a name and a form. One that is called like a key stays in the list."""
    names = {form["name"] for form in fuzzy_set["memberships"]}
    if names & {"indicator", "memberships"}:
        return fuzzy_set
    return {"indicator": fuzzy_set["indicator"]} | {form["name"]: _form(form) for form in fuzzy_set["memberships"]}


def _form(form: dict[str, Any]) -> object:
    if form["type"] in ("triangular", "trapezoidal"):
        return form["parameters"]
    return {"type": form["type"], "parameters": form["parameters"]}


def _block(mapping: dict[str, Any], path: Path, defaults: Collection[Path]) -> Iterator[str]:
    indent = "  " * len(path)
    for name, value in mapping.items():
        place = (*path, name)
        head = f"{indent}{_scalar(name)}:"
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield head
            for position, item in enumerate(value):
                yield f"{indent}  - {_flow(item)}{_of_item(item, (*place, position), defaults)}"
        elif isinstance(value, dict) and value and not (path[:1] == ("fuzzy_sets",) and len(path) == 2):
            yield head
            yield from _block(value, place, defaults)
        else:
            yield f"{head} {_flow(value)}{_MARK if _is_default(place, defaults) else ''}"


def _of_item(item: dict[str, Any], place: Path, defaults: Collection[Path]) -> str:
    filled = [name for name in item if (*place, name) in defaults]
    return f"{_MARK}: {', '.join(filled)}" if filled else ""


def _is_default(place: Path, defaults: Collection[Path]) -> bool:
    """Whether the file says nothing of the place, nor of anything around it."""
    if place[0] == "training_data" and place[-1] in ("mode", "list"):
        return False  # given in another form
    if place[:2] == ("training", "optimizer") and ("training", place[-1]) not in defaults and place[-1] != "type":
        return place[-1] == "momentum" and place in defaults  # these may stand beside the optimizer
    return any(place[:length] in defaults for length in range(1, len(place) + 1))


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(name)}: {_flow(child)}" for name, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, str) and value in TIMEFRAMES:
        return value
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
