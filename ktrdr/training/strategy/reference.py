"""The reference of the strategy language as Markdown, made from its schema: docs/strategy-language.md.

    python -m ktrdr.training.strategy.reference > docs/strategy-language.md

Imports the schema of the file and the registry of indicators.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from ktrdr.training.indicators.registry import REGISTRY
from ktrdr.training.strategy.keys import Schema
from ktrdr.training.strategy.language import file_schema
from ktrdr.training.strategy.sections.fuzzy_sets import SHAPES

_HEAD = """\
# The strategy language, version 3

Made from the tables that validate a file; `ktrdr strategy schema` prints the same as a JSON Schema for editors, and
`ktrdr strategy show FILE` prints what a file means with every default. A file is YAML or JSON. A key that is not listed
here has no effect and is reported, in strict mode (`--strict`) as an error. Words may be in letters of any case.
"""
_COLUMNS = "| key | value | default | |\n|---|---|---|---|"


def reference() -> str:
    """The whole page."""
    schema = file_schema()
    parts = [_HEAD, *_map("The file", schema), _features(schema), _indicators()]
    for name, title in _TITLES.items():
        parts += _map(title, _maps_of(schema["$defs"][name])[0])
        if name == "membership":
            parts.append(_shapes())
    return "\n".join(parts)


_TITLES = {
    "fuzzy_set": "A fuzzy set",
    "membership": "A membership",
    "input": "An entry of nn_inputs",
    "training": "training",
}


def _map(title: str, schema: Schema, *, is_variant: bool = False) -> Iterator[str]:
    """A table of the map's keys; then, unless it is one of several variants itself, those of its variants and of the
    maps in it."""
    rows = {name: inner for name, inner in schema["properties"].items() if isinstance(inner, dict)}
    yield f"## {title}\n\n{_COLUMNS}"
    yield from _rows(rows, _required(schema))
    yield ""
    if is_variant:
        return
    within = "" if title == "The file" else f"{title}."
    for name, inner in rows.items():
        for found in _maps_of(inner):
            yield from _map(f"{within}{name}", found)
    for rule in schema.get("allOf", ()):
        variant = rule.get("then", {}).get("properties", {})
        if variant.keys() - rows.keys():
            selector, word = _condition(rule["if"])
            own = {name: inner for name, inner in variant.items() if name not in rows}
            yield from _map(f"{title} with {selector}: {word}", rule["then"] | {"properties": own}, is_variant=True)


def _required(schema: Schema) -> set[str]:
    """The keys that must be there, under their first names."""
    required = set(schema.get("required", ()))
    for rule in schema.get("allOf", ()):
        names = [name for one in (rule, *rule.get("anyOf", ())) for name in one.get("required", ())]
        required |= set(names[:1])
    return required


def _rows(rows: dict[str, Schema], required: set[str]) -> Iterator[str]:
    """A line for each key with its aliases."""
    same = {name: f"The same as `{name}`." for name in rows}
    for name, inner in rows.items():
        if inner.get("description") in same.values():
            continue
        names = [name, *(other for other, its in rows.items() if its.get("description") == same[name])]
        default = "required" if name in required else f"`{_shown(inner['default'])}`" if "default" in inner else ""
        cells = (", ".join(f"`{one}`" for one in names), _value(inner), default, inner.get("description", ""))
        yield f"| {' | '.join(cells)} |"


def _maps_of(schema: Schema) -> list[Schema]:
    """The maps with keys of their own among the alternatives of a schema."""
    if schema.get("properties"):
        return [schema]
    inner = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
    return [found for one in inner if isinstance(one, dict) for found in _maps_of(one)]


def _condition(schema: Schema) -> tuple[str, str]:
    first = schema["anyOf"][0] if "anyOf" in schema else schema
    name, words = next(iter(first["properties"].items()))
    return name, words["anyOf"][0]["enum"][0]


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _value(schema: Schema) -> str:
    """What may stand there, in words."""
    if "enum" in schema:
        return " ".join(f"`{word}`" for word in schema["enum"])
    if "const" in schema:
        return f"`{_shown(schema['const'])}`"
    if "$ref" in schema:
        return "see below"
    for name in ("anyOf", "allOf"):
        if name in schema and "properties" not in schema:
            words = [
                _value(one)
                for one in schema[name]
                if one != {"type": "null"} and "pattern" not in one.keys() - {"type"}
            ]
            return " or ".join(dict.fromkeys(word for word in words if word)) or "text"
    match schema.get("type"):
        case "integer":
            return f"whole number{_range(schema)}"
        case "number":
            return f"number{_range(schema)}"
        case "array":
            return f"list of {_value(schema.get('items', {}))}"
        case "boolean":
            return "`true` `false`"
        case "object":
            return "map"
        case ["string", "number"]:
            return "text or number"
        case _:
            return "text"


def _range(schema: Schema) -> str:
    bounds = (
        ("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"),
    )  # fmt: skip
    told = [f"{sign} {_shown(schema[name])}" for name, sign in bounds if name in schema]
    return f" {', '.join(told)}" if told else ""


def _features(schema: Schema) -> str:
    """What every type of model has."""
    model = schema["properties"]["model"]["allOf"][0]["then"]["properties"]
    note = "What a type lists beside its `architecture` may also stand in it, and wins there.\n"
    return "\n".join([note, *_map("model.features", _maps_of(model["features"])[0])])


def _indicators() -> str:
    lines = ["## indicators\n\n| type | parameters | outputs |\n|---|---|---|"]
    for name, kind in sorted(REGISTRY.items()):
        names = ", ".join(f"`{one}`" for one in (name, *kind.aliases))
        parameters = "<br>".join(_parameter(one, parameter) for one, parameter in kind.parameters.items())
        lines.append(f"| {names} | {parameters} | {' '.join(f'`{output}`' for output in kind.outputs)} |")
    lines.append("\nEach of them may also have a `data_source`: the name of a context series to compute it on.\n")
    return "\n".join(lines)


def _parameter(name: str, parameter: Any) -> str:
    aliases = f" (also {', '.join(f'`{alias}`' for alias in parameter.aliases)})" if parameter.aliases else ""
    if parameter.choices:
        allowed = f" {' '.join(f'`{choice}`' for choice in parameter.choices)}"
    elif parameter.kind == "boolean" or parameter.low is None:
        allowed = ""
    else:
        high = "" if parameter.high is None else f" {'below' if parameter.high_open else 'to'} {_shown(parameter.high)}"
        allowed = f" {'above ' if parameter.low_open else ''}{_shown(parameter.low)}{high}"
    return f"`{name}`{aliases}{allowed}, default `{_shown(parameter.default)}`"


def _shapes() -> str:
    lines = ["| shape | parameters |\n|---|---|"]
    lines += [f"| `{shape}` | `[{', '.join(names)}]` |" for shape, names in SHAPES.items()]
    lines.append("\nA bare list of three numbers is a triangle, one of four a trapezium.\n")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(reference())
