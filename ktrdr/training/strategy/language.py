"""The JSON Schema of a whole strategy file, put together from the tables of all sections.

Editors complete and check with it (`ktrdr strategy schema`); the reference of the language and the test that some file
uses every key are made from it too. Imports the sections and the schemas of tables.
"""

from __future__ import annotations

import importlib
from typing import Any

from ktrdr.training.indicators.registry import REGISTRY, IndicatorType
from ktrdr.training.strategy import parse
from ktrdr.training.strategy.descriptions import DESCRIPTIONS
from ktrdr.training.strategy.keys import REQUIRED, Key, Schema, schema_of
from ktrdr.training.strategy.model import Shape
from ktrdr.training.strategy.names import ID_PATTERN
from ktrdr.training.strategy.schema import choose, given, of_key, of_map, or_null, properties, ruled
from ktrdr.training.strategy.sections import data, decisions, fuzzy_sets, indicators, inputs, network, training
from ktrdr.training.strategy.values import choice

_ID: Schema = {"pattern": f"^{ID_PATTERN}$"}
_REFERENCE: Schema = {"type": "string", "pattern": rf"^{ID_PATTERN}(\.[a-z0-9_]+)?$"}


def file_schema() -> Schema:
    """The schema of a strategy file, version 3."""
    importlib.import_module("ktrdr.training.indicators")  # fills the registry
    sections: dict[str, Schema] = {
        "training_data": _training_data(),
        "indicators": {
            "type": "object",
            "propertyNames": _ID,
            "additionalProperties": {"$ref": "#/$defs/indicator"},
            "maxProperties": indicators.MOST_INDICATORS,
        },
        "fuzzy_sets": {
            "type": "object",
            "propertyNames": _ID,
            "additionalProperties": {"$ref": "#/$defs/fuzzy_set"},
            "minProperties": 1,
            "maxProperties": fuzzy_sets.MOST_FUZZY_SETS,
        },
        "nn_inputs": {
            "type": "array",
            "items": {"$ref": "#/$defs/input"},
            "minItems": 1,
            "maxItems": inputs.MOST_INPUTS,
        },
        "model": _model(),
        "decisions": or_null(_decisions()),
        "training": or_null({"$ref": "#/$defs/training"}),
    }
    root = of_map(parse.ROOT)
    root["properties"] |= sections
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A strategy file of ktrdr, version 3",
        **root,
        "required": [*root["required"], "fuzzy_sets", "model"],
        "$defs": {
            "indicator": _indicator(),
            **{f"indicator_{name}": _indicator_type(kind) for name, kind in sorted(REGISTRY.items())},
            "fuzzy_set": _fuzzy_set(),
            "membership": _membership(fuzzy_sets.FORM),
            "input": _input(),
            "training": of_map(training.TRAINING),
        },
    }
    _describe(schema, "")
    for name in ("indicator", "fuzzy_set", "membership", "input", "training"):
        _describe(schema["$defs"][name], f"{name}.")
    for name in REGISTRY:
        _describe(schema["$defs"][f"indicator_{name}"], "indicator.")
    return schema


def _describe(schema: Any, place: str) -> None:
    """Says of each key below the schema what it is for."""
    if not isinstance(schema, dict):
        return
    for name, inner in schema.get("properties", {}).items():
        words = DESCRIPTIONS.get(f"{place}{name}") or DESCRIPTIONS.get(name)
        if isinstance(inner, dict) and words and "description" not in inner:
            inner["description"] = words
        _describe(inner, f"{place}{name}.")
    for name in ("additionalProperties", "items", "then"):
        _describe(schema.get(name), place)
    for name in ("allOf", "anyOf", "oneOf"):
        for inner in schema.get(name, ()):
            _describe(inner, place)


def _training_data() -> Schema:
    schema = of_map(data.TRAINING_DATA)
    schema["properties"] |= {
        "symbols": _one_or_list(data.SYMBOLS),
        "timeframes": _one_or_list(data.TIMEFRAME_KEYS),
        "date_range": or_null(of_map(data.DATE_RANGE)),
        **{alias: of_key(key) for key in data.DATE_RANGE for alias in key.aliases},
    }
    return schema


def _one_or_list(keys: tuple[Key, ...]) -> Schema:
    """Either one by the singular key, or a list."""
    _, one, several, *_ = keys
    return of_map(keys) | {"oneOf": [given(name) for name in (one.name, *several.names)]}


def _indicator() -> Schema:
    branches = {name: {"$ref": f"#/$defs/indicator_{name}"} for name in sorted(REGISTRY)}
    selector = _indicator_key()
    return ruled({"type": "object", "properties": {"type": of_key(selector)}}, choose(selector, branches))


def _indicator_key() -> Key:
    synonyms = {alias: name for name, kind in REGISTRY.items() for alias in kind.aliases}
    return Key("type", choice(*sorted(REGISTRY), synonyms=synonyms), REQUIRED)


def _indicator_type(kind: IndicatorType) -> Schema:
    """An alias may stand for several parameters; those that are given beside it keep their own value."""
    schema = of_map((_indicator_key(), *indicators.keys_of(kind)))
    aliases: dict[str, list[str]] = {}
    for name, parameter in kind.parameters.items():
        for alias in parameter.aliases:
            aliases.setdefault(alias, []).append(name)
    for alias, meant in aliases.items():
        same = f"The same as {' and '.join(f'`{name}`' for name in meant)}."
        schema["properties"][alias] = {"allOf": [schema["properties"][name] for name in meant], "description": same}
        schema.setdefault("allOf", []).append({"not": {"required": [alias, *meant]}})
    return schema


def _fuzzy_set() -> Schema:
    named = Key("name", lambda value, path, findings: value, REQUIRED)
    item = _membership((named, *fuzzy_sets.FORM))
    item["anyOf"][1]["properties"]["name"] = {"type": "string", **_ID}
    membership: Schema = {"$ref": "#/$defs/membership"}
    listed = {"type": "array", "items": item["anyOf"][1], "minItems": 1, "maxItems": fuzzy_sets.MOST_MEMBERSHIPS}
    return {
        "type": "object",
        "properties": {
            "indicator": dict(_REFERENCE),
            "memberships": {"anyOf": [listed, membership]},
        },
        "propertyNames": _ID,
        "additionalProperties": membership,
        "required": ["indicator"],
        "minProperties": 2,
    }


def _membership(form: tuple[Key, ...]) -> Schema:
    """A bare list, or a map that names the shape."""
    lists = [_numbers(count) for count in fuzzy_sets.SHORTHAND]
    selector = next(key for key in form if key.name == "type")
    branches: dict[str, Schema] = {
        shape: {"properties": {"parameters": _parameters(shape)}} for shape in fuzzy_sets.SHAPES
    }
    return {"anyOf": [{"anyOf": lists}, ruled(of_map(form), choose(selector, branches))]}


def _parameters(shape: Shape) -> Schema:
    names, positive = fuzzy_sets.SHAPES[shape], fuzzy_sets.POSITIVE.get(shape, ())
    items: list[Schema] = [{"type": "number"} | ({"exclusiveMinimum": 0} if name in positive else {}) for name in names]
    if shape == "sigmoid":
        items[names.index("slope")]["not"] = {"const": 0}
    return _numbers(len(names)) | {"prefixItems": items, "description": f"[{', '.join(names)}]"}


def _numbers(count: int) -> Schema:
    return {"type": "array", "items": {"type": "number"}, "minItems": count, "maxItems": count}


def _input() -> Schema:
    schema = of_map(inputs.INPUT)
    timeframe = schema_of(data.check_timeframe)
    several = {"type": "array", "items": timeframe, "minItems": 1, "uniqueItems": True}
    schema["properties"] |= {
        "fuzzy_set": or_null({"type": "string", **_ID}),
        "raw_indicator": or_null(_REFERENCE),
        "timeframes": {"anyOf": [{"enum": ["all", *timeframe["enum"]]}, several]},
    }
    plain = {"not": given("normalization")}
    schema["oneOf"] = [given("fuzzy_set"), given("raw_indicator")]
    return ruled(schema, [{"if": given("fuzzy_set"), "then": plain}])


def _model() -> Schema:
    branches = {name: _network(keys) for name, keys in network.ARCHITECTURES.items()}
    return ruled({"type": "object", "properties": properties((network.TYPE,))}, choose(network.TYPE, branches))


def _network(keys: tuple[Key, ...]) -> Schema:
    """The keys of an architecture may also stand beside `type`."""
    architecture = of_map(keys, required=False)
    features = of_map(network.FEATURES)
    overlay: Schema = {"$ref": "#/$defs/training"}
    within: dict[str, Any] = {"architecture": or_null(architecture), "features": or_null(features)}
    within["training"] = or_null(overlay)
    rules: list[Schema] = [
        {
            "anyOf": [
                {"required": [key.name]},
                {
                    "properties": {"architecture": {"required": [key.name], "type": "object"}},
                    "required": ["architecture"],
                },
            ]
        }
        for key in keys
        if key.default is REQUIRED
    ]
    beside = properties(keys)
    return ruled({"properties": {"type": True, **within, **beside}, "additionalProperties": False}, rules)


def _decisions() -> Schema:
    """Regression needs its cost model; what only the other output format reads has no effect."""
    branches: dict[str, Schema] = {
        name: {"not": given(idle)} | (given("cost_model") if name == "regression" else {})
        for name, idle in decisions.IDLE.items()
    }
    selector = decisions.DECISIONS[0]
    return ruled(of_map(decisions.DECISIONS), choose(selector, branches))
