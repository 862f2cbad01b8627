"""Which parts of the language's schema a document uses, and which there are to use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

#: A key as `place/key`, the place being where the schema defines it; or `key=value` for a word that is a value.
Part = str


class Language:
    """A schema whose parts can be listed."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._validator = Draft202012Validator(schema)

    def parts(self) -> set[Part]:
        """Every key and every word."""
        return {part for place, found in _sections(self._schema) for part in self._declared(found, place, "")}

    def used_by(self, document: object) -> set[Part]:
        return set(self._used(self._schema, document, "", ""))

    def _declared(self, schema: Any, place: str, key: str) -> Iterator[Part]:
        if not isinstance(schema, dict):
            return
        yield from (f"{key}={str(word).lower()}" for word in schema.get("enum", ()))
        for name, inner in schema.get("properties", {}).items():
            yield f"{place}/{name}"
            yield from self._declared(inner, f"{place}/{name}", name)
        for name in ("additionalProperties", "items", "then"):
            yield from self._declared(schema.get(name), place, key)
        for inner in _alternatives(schema):
            yield from self._declared(inner, place, key)

    def _used(self, schema: Any, value: Any, place: str, key: str) -> Iterator[Part]:
        if not isinstance(schema, dict):
            return
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            yield from self._used(self._schema["$defs"][name], value, name, key)
        word = str(value).lower()
        yield from (f"{key}={word}" for one in schema.get("enum", ()) if str(one).lower() == word)
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in schema.get("properties", {}):
                    yield f"{place}/{name}"
                    yield from self._used(schema["properties"][name], inner, f"{place}/{name}", name)
                else:
                    yield from self._used(schema.get("additionalProperties"), inner, place, key)
        for inner in value if isinstance(value, list) else ():
            yield from self._used(schema.get("items"), inner, place, key)
        if "if" in schema and self._fits(schema["if"], value):
            yield from self._used(schema["then"], value, place, key)
        for inner in _alternatives(schema):
            if "enum" in inner or self._fits(inner, value):
                yield from self._used(inner, value, place, key)

    def _fits(self, schema: dict[str, Any], value: Any) -> bool:
        return self._validator.evolve(schema=schema).is_valid(value)


def _sections(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", schema
    yield from schema["$defs"].items()


def _alternatives(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a schema that say which keys there are, and not only which of them go together."""
    for name in ("allOf", "anyOf", "oneOf"):
        yield from (inner for inner in schema.get(name, ()) if not inner.keys() <= {"required", "properties", "not"})
        yield from (inner for inner in schema.get(name, ()) if inner.keys() == {"properties"})
