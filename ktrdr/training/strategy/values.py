"""What a single value may be: each function makes a `Check` for the tables of the sections. Imports the keys only.

Types are strict: true is not 1, and 5.0 is not a whole number. Texts such as "1_000" or "014" are never guessed at.
Every check carries the JSON Schema of what it accepts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from ktrdr.training.strategy.findings import WRONG, Findings, Path, nearest, one_of, shown
from ktrdr.training.strategy.keys import Check, Schema, described, schema_of

#: Words that YAML 1.1 reads as booleans. The reader leaves them as text, so that a symbol may be called ON or NO.
_SWITCHES = {"yes": True, "on": True, "no": False, "off": False}

#: pandas counts nanoseconds in 64 bits, which reach from 1677 to 2262.
_YEARS = range(1678, 2262)

#: How every date and time of ISO 8601 begins that Python reads; it knows many ways to go on.
_MOMENT = "^[0-9]{4}-?(W?[0-9]{2})"


def anything(value: Any, path: Path, findings: Findings) -> Any:
    """Accepts the value as it is: another function looks into it."""
    return value


def whole(low: int, high: int) -> Check:
    fix = f"a whole number from {low} to {high}"

    @described({"type": "integer", "minimum": low, "maximum": high})
    def check(value: Any, path: Path, findings: Findings) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            return findings.wrong(path, f"{shown(value)} is not a whole number", fix)
        if not low <= value <= high:
            return findings.wrong(path, f"{shown(value)} is out of range", fix)
        return value

    return check


def number(
    low: float = -math.inf, high: float = math.inf, *, above_low: bool = False, below_high: bool = False
) -> Check:
    """A finite number between the bounds; `above_low` and `below_high` leave the bound itself out."""
    lower = f" {'above' if above_low else 'from'} {low:g}" if math.isfinite(low) else ""
    upper = f" {'below' if below_high else 'to'} {high:g}" if math.isfinite(high) else ""
    fix = f"a number{lower}{' and' if above_low and upper else ''}{upper}"
    bounds: Schema = {}
    if math.isfinite(low):
        bounds["exclusiveMinimum" if above_low else "minimum"] = low
    if math.isfinite(high):
        bounds["exclusiveMaximum" if below_high else "maximum"] = high

    @described({"type": "number", **bounds})
    def check(value: Any, path: Path, findings: Findings) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return findings.wrong(path, f"{shown(value)} is not a number", fix)
        try:
            real = float(value)
        except OverflowError:
            real = math.inf
        if not math.isfinite(real):
            return findings.wrong(path, f"{shown(value)} is not a finite number", fix)
        if not low <= real <= high or (above_low and real == low) or (below_high and real == high):
            return findings.wrong(path, f"{shown(value)} is out of range", fix)
        return real

    return check


def switch(value: object) -> bool | None:
    """The boolean that the value is or says; None when it is none."""
    if isinstance(value, str):
        return _SWITCHES.get(value.lower())
    return value if isinstance(value, bool) else None


def any_case(words: Iterable[str]) -> Schema:
    """The words, for an editor to offer, and each of them in letters of any case."""
    names = list(words)
    patterns = ("".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else re.escape(c) for c in name) for name in names)
    return {"type": "string", "anyOf": [{"enum": names}, {"pattern": f"^({'|'.join(patterns)})$"}]}


@described({"anyOf": [{"type": "boolean"}, any_case(_SWITCHES)]})
def flag(value: Any, path: Path, findings: Findings) -> Any:
    switched = switch(value)
    return findings.wrong(path, f"{shown(value)} is not a switch", "true or false") if switched is None else switched


def choice(*names: str, synonyms: Mapping[str, str] | None = None, exact: bool = False) -> Check:
    """One of the names, whatever the case of the letters unless `exact`."""
    meanings = {name: name for name in names} | dict(synonyms or {})
    if not exact:
        meanings = {word.lower(): name for word, name in meanings.items()}

    @described({"enum": list(meanings)} if exact else any_case((*names, *(synonyms or {}))))
    def check(value: Any, path: Path, findings: Findings) -> Any:
        if not isinstance(value, str):
            return findings.wrong(path, f"{shown(value)} is not a name", one_of(names))
        word = value if exact else value.lower()
        if word in meanings:
            return meanings[word]
        fix = f"{one_of(names)}; the nearest is {nearest(value, meanings)!r}"
        return findings.wrong(path, f"{shown(value)} is not known here", fix)

    return check


def text(most: int) -> Check:
    @described({"type": "string", "maxLength": most})
    def check(value: Any, path: Path, findings: Findings) -> Any:
        if not isinstance(value, str):
            return findings.wrong(path, f"{shown(value)} is not text", "put it in quotes")
        if len(value) > most:
            return findings.wrong(path, f"it has {len(value)} characters", f"at most {most} characters")
        return value

    return check


def matching(pattern: str, description: str) -> Check:
    """Text of a form; `description` tells people what the regular expression tells the machine."""
    form = re.compile(pattern)

    @described({"type": "string", "pattern": f"^(?:{pattern})$", "patternErrorMessage": description})
    def check(value: Any, path: Path, findings: Findings) -> Any:
        if not isinstance(value, str):
            return findings.wrong(path, f"{shown(value)} is not text", "put it in quotes")
        return value if form.fullmatch(value) else findings.wrong(path, f"{shown(value)} is not allowed", description)

    return check


def listing(item: Check, low: int, high: int, *, distinct: bool = False) -> Check:
    """A list of `low` to `high` items, as a tuple; every item is checked at its own path."""
    size = str(low) if low == high else f"{low} to {high}"
    unique: Schema = {"uniqueItems": True} if distinct else {}

    @described(lambda: {"type": "array", "items": schema_of(item), "minItems": low, "maxItems": high} | unique)
    def check(value: Any, path: Path, findings: Findings) -> Any:
        if isinstance(value, str) or not isinstance(value, Sequence):
            return findings.wrong(path, f"{shown(value)} is not a list", f"a list of {size}")
        if not low <= len(value) <= high:
            return findings.wrong(path, f"{shown(value)} is not the right length", f"a list of {size}")
        items = [item(child, (*path, position), findings) for position, child in enumerate(value)]
        if any(child is WRONG for child in items):
            return WRONG
        repeated = [position for position, child in enumerate(items) if child in items[:position]] if distinct else []
        for position in repeated:
            findings.wrong((*path, position), f"{shown(items[position])} is listed twice", "list it once")
        return WRONG if repeated else tuple(items)

    return check


def moment(*, end_of_day: bool) -> Check:
    """A date or a time in ISO 8601, as an aware UTC time. A bare date is its first instant, or with `end_of_day` its
    last; a time without an offset is UTC."""

    @described({"type": "string", "pattern": _MOMENT, "examples": ["2024-01-31", "2024-01-31T09:30:00+00:00"]})
    def check(value: Any, path: Path, findings: Findings) -> Any:
        fix = "a date such as 2024-01-31, or a time such as 2024-01-31T09:30:00+00:00"
        instant = read_moment(value, end_of_day=end_of_day)
        if instant is None:
            return findings.wrong(path, f"{shown(value)} is not a date", fix)
        if instant.year not in _YEARS:
            return findings.wrong(path, f"{shown(value)} is out of range", "a year from 1678 to 2261")
        return instant if instant.tzinfo is UTC else instant.astimezone(UTC)

    return check


def read_moment(value: Any, *, end_of_day: bool) -> datetime | None:
    """The aware time that a date, a time or its text in ISO 8601 means; None if it is none of these."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time.max if end_of_day else time.min)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
