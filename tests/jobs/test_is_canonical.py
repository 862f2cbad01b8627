"""`is_canonical` says of every text what comparing with `dumps` says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ktrdr.jobs.canonical import dumps, is_canonical
from ktrdr.jobs.codec import parse

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
)


def says(text: str) -> bool:
    return is_canonical(text, parse(text))


def plainly(text: str) -> bool:
    """The slow way."""
    try:
        return dumps(json.loads(text, parse_int=float)) == text
    except ValueError:
        return False


@given(some.dictionaries(some.text(), VALUES, max_size=4))
def test_it_agrees_with_the_slow_way_on_what_python_writes(value: dict[str, Any]) -> None:
    for text in (json.dumps(value), json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)):
        assert says(text) == plainly(text)


@given(some.dictionaries(some.text(), some.floats(allow_nan=False, allow_infinity=False) | some.text(), max_size=4))
def test_what_dumps_writes_is_canonical(value: dict[str, Any]) -> None:
    try:
        text = dumps(value)
    except ValueError:
        return  # a lone surrogate
    assert says(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1.0}', '{"a":[1.0]}', '{"a":1.0,"b":2}', '{"a":1e-07}', '{"a":1e+16}', '{"a":-0}', '{"a":-0.0}',
        '{"b":1,"a":2}', '{"a":1,"a":1}', '{"a": 1}', '{"a":NaN}', '{"a":9007199254740993}', '{"a":"\\u0041"}',
    ],
)  # fmt: skip
def test_another_way_to_write_the_same_is_not_canonical(text: str) -> None:
    assert not says(text)


@pytest.mark.parametrize("text", ['{"a":1}', '{"a":1e-7}', '{"a":1e+21}', '{"a":"1.0,"}', '{"a":"e-"}', '{"ä":"ö"}'])
def test_the_canonical_way_is(text: str) -> None:
    assert says(text)
