"""What may be in a document at all: plain JSON data of a bounded size. Imports the faults and the findings.

Text from anybody passes here before any section reads it, so that no file can exhaust a process by its shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ktrdr.training.faults import InvalidInputError
from ktrdr.training.strategy.findings import Findings, Path, shown

MOST_VALUES = 20_000
MOST_LEVELS = 20
LONGEST_KEY = 200


def check_plain(document: object) -> None:
    """Raises `InvalidInputError` unless `document` is maps with text keys, lists, text, finite numbers, true, false
    and null, not too many of them and not too deep."""
    findings = Findings()
    for count, (path, value) in enumerate(_walk(document, (), findings)):
        if count >= MOST_VALUES:
            findings.wrong((), "the document is too large", f"at most {MOST_VALUES} values")
            break
        _check_value(path, value, findings)
    if findings.faults:
        raise InvalidInputError(findings.faults)


def _walk(value: object, path: Path, findings: Findings) -> Iterator[tuple[Path, object]]:
    yield path, value
    children: Iterator[tuple[Any, object]] | enumerate[object] = iter(())
    if isinstance(value, Mapping):
        children = iter(value.items())
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        if len(path) == MOST_LEVELS:
            findings.wrong(path[:3], "the values are nested too deep", f"at most {MOST_LEVELS} levels")
            return
        if isinstance(value, Mapping) and not _is_key(key):
            fix = f"keys are text of 1 to {LONGEST_KEY} characters"
            findings.wrong(path, f"the key {shown(key)} is not allowed", fix)
        else:
            yield from _walk(child, (*path, key), findings)


def _is_key(key: object) -> bool:
    return isinstance(key, str) and 1 <= len(key) <= LONGEST_KEY and _is_encodable(key)


def _check_value(path: Path, value: object, findings: Findings) -> None:
    match value:
        case float() if not math.isfinite(value):
            findings.wrong(path, f"{value} is not a finite number", "a finite number")
        case str() if not _is_encodable(value):
            findings.wrong(path, "the text holds half of a surrogate pair, which is no character", "valid Unicode")
        case None | bool() | int() | float() | str() | list() | Mapping():
            pass
        case _:
            findings.wrong(path, f"a value of the type {type(value).__name__} is no plain data", "what JSON can hold")


def _is_encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
