"""JSON Schemas (draft 2020-12) of the tables that validate: of a map, and of one whose keys depend on a selector.

A schema describes the strict language: an unknown key, a warning to the validator, is an error to an editor, which so
marks a typo while it is typed. What no schema can say is left to the validator: references, order and sums of numbers,
and that 5.0 is no whole number. Imports the keys and the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ktrdr.training.strategy.findings import Findings
from ktrdr.training.strategy.keys import REQUIRED, Key, Schema, schema_of
from ktrdr.training.strategy.values import any_case


def of_key(key: Key) -> Schema:
    """What may stand under the key: with a default of None also null, which means the same as leaving it out."""
    schema = dict(schema_of(key.check))
    if key.description:
        schema["description"] = key.description
    if key.default is None:
        return or_null(schema)
    if isinstance(key.default, int | float | str) and schema.get("type") != "object":
        return schema | {"default": key.default}
    return schema


def or_null(schema: Schema) -> Schema:
    """The schema, and null."""
    if not schema.keys() & {"type", "anyOf", "oneOf", "enum", "const", "$ref"}:
        return schema
    described = {name: schema[name] for name in ("description",) if name in schema}
    return described | {"anyOf": [schema, {"type": "null"}]}


def of_map(keys: Sequence[Key], *, required: bool = True) -> Schema:
    """A map of these keys and no others. Without `required`, none of them must be there."""
    schema: Schema = {"type": "object", "properties": properties(keys), "additionalProperties": False}
    rules: list[Schema] = [{"not": {"required": [key.name, alias]}} for key in keys for alias in key.aliases]
    for key in keys if required else ():
        if key.default is REQUIRED and key.aliases:
            rules.append({"anyOf": [{"required": [name]} for name in key.names]})
        elif key.default is REQUIRED:
            schema.setdefault("required", []).append(key.name)
    return ruled(schema, rules)


def properties(keys: Sequence[Key]) -> dict[str, Schema]:
    """Name → schema, aliases included."""
    found: dict[str, Schema] = {}
    for key in keys:
        found[key.name] = of_key(key)
        found |= {alias: found[key.name] | {"description": f"The same as `{key.name}`."} for alias in key.aliases}
    return found


def of_variants(selector: Key, variants: Mapping[str, Sequence[Key]]) -> Schema:
    """A map whose keys depend on the value of one of them, as `ktrdr.training.strategy.keys.read_variant` reads it."""
    branches = {name: of_map((selector, *keys)) for name, keys in variants.items()}
    return ruled({"type": "object", "properties": properties((selector,))}, choose(selector, branches))


def choose(selector: Key, branches: Mapping[str, Schema]) -> list[Schema]:
    """The rules that apply the branch which the selector's value, or its default, names."""
    rules: list[Schema] = []
    for name, branch in branches.items():
        chosen = any_case(words_for(selector, name))
        if selector.default == name:
            condition: Schema = {"properties": {selector.name: chosen}}
        else:
            given = [{"properties": {alias: chosen}, "required": [alias]} for alias in selector.names]
            condition = given[0] if len(given) == 1 else {"anyOf": given}
        rules.append({"if": condition, "then": branch})
    needed: list[Schema] = [{"required": [name]} for name in selector.names]
    if selector.default is REQUIRED:
        rules.append(needed[0] if len(needed) == 1 else {"anyOf": needed})
    return rules


def ruled(schema: Schema, rules: Sequence[Schema]) -> Schema:
    """The schema with further rules that all apply."""
    return schema | {"allOf": [*schema.get("allOf", ()), *rules]} if rules else schema


def words_for(selector: Key, meaning: str) -> list[str]:
    """The words that the selector reads as `meaning`, the word itself first."""
    words = [word for option in schema_of(selector.check).get("anyOf", ()) for word in option.get("enum", ())]
    same = [word for word in words if selector.check(word, (), Findings()) == meaning]
    return [meaning, *(word for word in same if word != meaning)]


def given(name: str) -> Schema:
    """That the key is there and not null."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
