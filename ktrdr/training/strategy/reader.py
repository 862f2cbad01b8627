"""Text in YAML or JSON to plain data, with faults that name line and column. Imports the plain checks and yaml.

The words of YAML 1.1 that surprise people are left as text and judged by the key they belong to: `NO` may be a symbol
and `no` a switch, `014` is nowhere silently 12, a date stays as written, and `1e-3` is a number.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.findings import Path, shown
from ktrdr.training.strategy.plain import LONGEST_KEY, MOST_LEVELS, MOST_VALUES, check_plain

MOST_BYTES = 256 * 1024

#: libyaml's parser where the wheel has it: ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9_]*)(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.inf|\.nan", re.IGNORECASE)


def read_text(source: str | bytes) -> object:
    """The document in `source`. Raises `InvalidInputError` with the line and column of what is wrong."""
    text = _decode(source)
    document = _read_json(text) if text.lstrip()[:1] == "{" else None
    if document is None:
        document = _read_yaml(text)
    check_plain(document)
    return document


def _decode(source: str | bytes) -> str:
    if len(source) > MOST_BYTES:
        raise _fault(f"the text has {len(source)} bytes", f"at most {MOST_BYTES}")
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source[: error.start].count(b"\n") + 1
        at = (line, error.start - (source.rfind(b"\n", 0, error.start) + 1) + 1)
        raise _fault(f"line {line} holds bytes that are not UTF-8", "save the file as UTF-8", at=at) from error


def _read_json(text: str) -> object:
    """JSON read as such, since YAML knows no surrogate pairs; None when it is not JSON or repeats a key, which the
    YAML reader tells better."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            raise ValueError("a key is repeated")
        return mapping

    try:
        document: object = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        return None
    return document


def _read_yaml(text: str) -> object:
    try:
        return _Document(text).read()
    except yaml.MarkedYAMLError as error:
        raise _syntax_fault(text, error) from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        position = getattr(error, "position", None)
        character = getattr(error, "character", None)
        at = _place_of(text, position) if isinstance(position, int) else None
        where = f" at character {position + 1}" if isinstance(position, int) else ""
        which = f" ({character!r})" if character is not None else ""
        raise _fault(
            f"the text holds a character{where} that YAML does not allow{which}", "remove it", at=at
        ) from error


def _syntax_fault(text: str, error: yaml.MarkedYAMLError) -> InvalidInputError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    at = (line + 1, column + 1)
    lines = text.splitlines()
    if line < len(lines) and lines[line][column : column + 1] == "\t":
        return _fault(f"{_words(at)}: a tab is used for indentation", "indent with spaces", at=at)
    reason = " ".join(part for part in (error.context, error.problem) if part)
    if "nesting depth" in reason:  # of libyaml, which reads a thousand characters ahead of us
        return _fault(f"line {line + 1}: the values are nested too deep", f"at most {MOST_LEVELS} levels", at=at)
    return _fault(f"{_words(at)}: {reason}", "this place is not YAML", at=at)


def _fault(problem: str, fix: str, path: Path = (), *, at: tuple[int, int] | None = None) -> InvalidInputError:
    return InvalidInputError([Fault(path, problem, fix, at)])


def _fault_at(event: Any, problem: str, fix: str, path: Path = ()) -> InvalidInputError:
    """The same, of the place where an event of the parser begins."""
    at = (_line(event), int(event.start_mark.column) + 1)
    return _fault(f"{_words(at)}: {problem}", fix, path, at=at)


def _words(at: tuple[int, int]) -> str:
    return f"line {at[0]}, column {at[1]}"


def _place_of(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


class _Document:
    """Builds plain data from the parser's events, one document deep in memory and no deeper than allowed."""

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=LOADER)
        self._anchors: dict[str, tuple[object, int]] = {}
        self._count = 0

    def read(self) -> object:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                break
        else:
            raise _fault("the file is empty", "a version 3 strategy file begins with its name")
        document = self._build(next(self._events), ())
        next(self._events)
        extra = next(self._events)
        if isinstance(extra, yaml.DocumentStartEvent):
            raise _fault_at(extra, "a second document begins", "one strategy per file")
        return document

    def _build(self, event: Any, path: Path) -> object:
        before = self._count
        self._count += 1
        if self._count > MOST_VALUES:
            raise _fault_at(event, "the document is too large", f"at most {MOST_VALUES} values", path[:3])
        if len(path) > MOST_LEVELS:
            raise _fault_at(event, "the values are nested too deep", f"at most {MOST_LEVELS} levels", path[:3])
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if event.tag is not None:
            raise _fault_at(event, f"the tag {shown(event.tag)} is not allowed", "write the plain value", path)
        value: object
        if isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path)
        else:
            value = _scalar(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _alias(self, event: Any, path: Path) -> object:
        """The anchored value, counted as often as it appears: a few lines could otherwise unfold into billions."""
        if event.anchor not in self._anchors:
            fix = "an anchor (&) must stand before its alias (*), not around it"
            raise _fault_at(event, f"there is no anchor {shown(event.anchor)}", fix, path)
        value, size = self._anchors[event.anchor]
        self._count += size
        if self._count > MOST_VALUES:
            raise _fault_at(event, "the aliases unfold too far", f"at most {MOST_VALUES} values", path[:3])
        return value

    def _sequence(self, path: Path) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._build(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, object]:
        mapping: dict[str, object] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            if key in mapping:
                problem = f"the key {shown(key)} is given twice, first on line {lines[key]}"
                raise _fault_at(event, problem, "keep one of the two", (*path, key))
            lines[key] = _line(event)
            mapping[key] = self._build(next(self._events), (*path, key))
        return mapping

    def _key(self, event: Any, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or not 1 <= len(event.value) <= LONGEST_KEY:
            fix = f"keys are text of 1 to {LONGEST_KEY} characters"
            raise _fault_at(event, "this key is not allowed", fix, path)
        if event.value == "<<" and event.implicit[0]:
            raise _fault_at(event, "merge keys (<<) are not supported", "write the keys out", path)
        return str(event.value)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _scalar(event: Any, path: Path) -> object:
    text: str = event.value
    is_plain = event.implicit[0]
    if not is_plain:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        if _INTEGER.fullmatch(text):
            return int(text.replace("_", ""))
        if _NUMBER.fullmatch(text):
            return float(text.replace("_", ""))
    except ValueError as error:  # Python converts at most 4300 digits
        raise _fault_at(event, f"the number has {len(text)} digits", "a shorter number", path) from error
    return float(text.replace(".", "")) if _NOT_FINITE.fullmatch(text) else text
