"""Canonical JSON (RFC 8785, "JCS"): one value, one sequence of bytes, so that digests of events mean something.

Imports the standard library only. Numbers are written as ECMAScript writes them, keys are sorted by UTF-16 code
units, and nothing is escaped that need not be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from json import JSONEncoder
from json.encoder import encode_basestring
from typing import Any

#: Integers beyond this lose digits in a reader that uses doubles, so RFC 8785 (by I-JSON) excludes them.
LARGEST_INTEGER = 2**53 - 1


class Encoded(dict[str, Any]):
    """A mapping that carries its canonical text, so that a large value seen before is not encoded again.

    It must not be changed once made.
    """

    __slots__ = ("text",)

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        super().__init__(mapping)
        self.text = dumps(mapping)


def dumps(value: object) -> str:
    """The canonical JSON text of plain data (dict, list, tuple, str, int, float, bool, None).

    Raises ValueError for what JSON cannot hold (NaN, infinities, integers beyond 2^53 - 1, keys that are not strings,
    lone surrogates) and TypeError for what is not plain data.
    """
    write = _WRITERS.get(type(value)) or _writer_of(value)
    return write(value)


def is_canonical(text: str, value: object) -> bool:
    """Whether `text`, from which `value` was read, is the canonical one.

    The encoder of the standard library answers for most texts, in half the time. It writes some numbers and sorts some
    keys otherwise; what may hold such is written by `dumps`.
    """
    try:
        if text.isascii() and not any(map(text.__contains__, _OTHERWISE)) and _quick(value) == text:
            return True
        return dumps(value) == text
    except ValueError:
        return False


def _writer_of(value: object) -> Callable[[Any], str]:
    """The writer for a subclass (an enumeration's text, numpy's float64) or another kind of mapping."""
    for kind in (bool, str, int, float, Encoded, Mapping, list, tuple):
        if isinstance(value, kind):
            return _WRITERS[kind]
    raise TypeError(f"{type(value).__name__} is not plain data, so it has no canonical JSON")


def _integer(value: int) -> str:
    if abs(value) > LARGEST_INTEGER:
        raise ValueError(f"{value} is beyond 2^53 - 1, which canonical JSON cannot hold as a number")
    return int.__repr__(value)


def _mapping(value: Mapping[str, object]) -> str:
    return "{" + ",".join([f"{_string(key)}:{dumps(value[key])}" for key in _sorted(value)]) + "}"


def _array(value: Sequence[object]) -> str:
    return "[" + ",".join(map(dumps, value)) + "]"


def _string(value: str) -> str:
    if not value.isascii():
        value.encode("utf-8")  # raises for a lone surrogate, which no byte sequence can represent
    return encode_basestring(value)


def _sorted(mapping: Mapping[str, object]) -> list[str]:
    for key in mapping:
        if not isinstance(key, str):
            raise ValueError(f"{key!r} is not a string, and canonical JSON has string keys only")
    if all(map(str.isascii, mapping)):
        return sorted(mapping)
    return sorted(mapping, key=lambda name: name.encode("utf-16-be"))


def _number(value: float) -> str:
    """ECMAScript's Number::toString: the shortest digits that read back equal; an exponent from 1e21 and below 1e-6."""
    if not math.isfinite(value):
        raise ValueError(f"{value} has no JSON form")
    if value == 0:
        return "0"  # -0 too
    text = float.__repr__(value)  # numpy's float64 is a float too, with a `repr` of its own
    mantissa, has_exponent, power = text.partition("e")
    if not has_exponent:
        return text.removesuffix(".0")
    exponent = int(power)
    if not -7 < exponent < 21:
        return f"{mantissa.removesuffix('.0')}e{exponent:+d}"
    sign = "-" if value < 0 else ""
    digits = mantissa.lstrip("-").replace(".", "")
    return sign + ("0." + "0" * (-exponent - 1) + digits if exponent < 0 else digits.ljust(exponent + 1, "0"))


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: _string,
    bool: lambda value: "true" if value else "false",
    int: _integer,
    float: _number,
    type(None): lambda _: "null",
    Encoded: lambda value: value.text,
    dict: _mapping,
    Mapping: _mapping,
    list: _array,
    tuple: _array,
}
_quick = JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode
#: What stands in a number that ECMAScript writes otherwise than Python.
_OTHERWISE = (".0,", ".0}", ".0]", "e-", "e+")
