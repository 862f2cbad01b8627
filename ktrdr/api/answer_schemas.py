"""JSON Schemas of answers, with the comments on their fields as descriptions. Imports pydantic.

An answer is a TypedDict, whose fields are explained by `#:` comments for those who read the code; here they reach those
who read the OpenAPI document.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

REFERENCE = "#/components/schemas/{model}"
_FIELD = re.compile(r'\s+"?(\w+)"?: ')


def schema_of(answer: type, schemas: dict[str, Any]) -> dict[str, Any]:
    """A reference to the schema of an answer, which is put into `schemas` with everything that it refers to."""
    if answer is dict:
        return {"type": "object"}
    schema = TypeAdapter(answer).json_schema(mode="serialization", ref_template=REFERENCE)
    found = {**schema.pop("$defs", {}), answer.__name__: schema}
    for one in _typed_dicts(answer):
        _describe(found[one.__name__], one)
    schemas.update(found)
    return {"$ref": REFERENCE.format(model=answer.__name__)}


def _typed_dicts(kind: Any) -> Iterator[type]:
    """Every TypedDict that a type is made of, itself included."""
    seen: list[type] = []

    def walk(one: Any) -> None:
        if hasattr(one, "__total__") and one not in seen:
            seen.append(one)
            for hint in get_type_hints(one).values():
                walk(hint)
        for inner in get_args(one):
            walk(inner)

    walk(kind)
    yield from seen


def _describe(schema: dict[str, Any], answer: type) -> None:
    notes = {name: text for one in (*_bases(answer), answer) for name, text in _notes(one).items()}
    for name, field in schema["properties"].items():
        field.pop("title", None)
        if name in notes and "$ref" not in field:
            field["description"] = notes[name]


def _bases(answer: type) -> Iterator[type]:
    """The TypedDicts that one goes on from (which are no base classes of it any more)."""
    for base in getattr(answer, "__orig_bases__", ()):
        if hasattr(base, "__total__"):
            yield from (*_bases(base), base)


@cache
def _notes(answer: type) -> dict[str, str]:
    """Field → the comment above it."""
    notes, comment = {}, []
    for line in inspect.getsource(inspect.getmodule(answer) or answer).partition(_head(answer))[2].splitlines()[1:]:
        text = line.strip()
        if text.startswith("#: "):
            comment.append(text[3:])
        elif field := _FIELD.match(line):
            if comment:
                notes[field[1]] = " ".join(comment)
            comment = []
        elif line and not line.startswith((" ", "#")):
            break
    return notes


def _head(answer: type) -> str:
    """How the source of a TypedDict begins, whichever way it is written."""
    source = inspect.getsource(inspect.getmodule(answer) or answer)
    head = f"class {answer.__name__}("
    return head if head in source else f"{answer.__name__} = TypedDict("
