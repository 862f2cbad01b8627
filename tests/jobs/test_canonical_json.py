"""Canonical JSON is that of RFC 8785, byte for byte; the `rfc8785` package is the judge."""

from __future__ import annotations

import json
import math
import struct

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st
from job_strategies import LARGEST, json_values, mappings, numbers

from ktrdr.jobs.canonical import Encoded, dumps


@given(json_values)
def test_any_plain_value_is_written_as_rfc_8785_writes_it(value: object) -> None:
    assert dumps(value).encode() == rfc8785.dumps(value)


@given(numbers)
@example(0.0)
@example(-0.0)
@example(1e21)
@example(1e20)
@example(-1.5e20)
@example(1e-6)
@example(1e-7)
@example(5e-324)
@example(1.7976931348623157e308)
@example(2.2250738585072014e-308)
@example(333333333.33333329)
@example(9007199254740993.0)
@example(1e16)
@example(1.5e-05)
def test_any_finite_number_is_written_as_ecmascript_writes_it(value: float) -> None:
    assert dumps(value).encode() == rfc8785.dumps(value)
    assert float(dumps(value)) == value


@given(st.binary(min_size=8, max_size=8).map(lambda bits: struct.unpack(">d", bits)[0]).filter(math.isfinite))
def test_any_bit_pattern_of_a_number_is_written_as_ecmascript_writes_it(value: float) -> None:
    assert dumps(value).encode() == rfc8785.dumps(value)


def test_keys_are_in_the_order_of_utf_16_units_so_astral_characters_come_before_the_private_use_area() -> None:
    keys = ["\ufb33", "\U0001f600", "\u20ac", "z", "1", "\r", "\u00f6", "\u0080"]
    text = dumps(dict.fromkeys(keys, 0))
    assert list(json.loads(text)) == ["\r", "1", "z", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert text.encode() == rfc8785.dumps(dict.fromkeys(keys, 0))


@given(mappings)
def test_the_order_in_which_keys_were_put_in_does_not_matter(value: dict[str, object]) -> None:
    assert dumps(dict(reversed(value.items()))) == dumps(value)


@given(mappings)
def test_an_encoded_mapping_is_written_as_the_mapping_itself(value: dict[str, object]) -> None:
    assert dumps({"strategy": Encoded(value), "z": 1}) == dumps({"strategy": value, "z": 1})
    assert Encoded(value) == value


def test_tuples_are_written_as_lists() -> None:
    assert dumps((1, ("a",))) == '[1,["a"]]'


def test_numbers_of_derived_classes_are_written_as_numbers() -> None:
    class Loss(float):
        def __repr__(self) -> str:  # as numpy's float64 does
            return f"np.float64({float(self)})"

    class Count(int):
        def __str__(self) -> str:
            return "a count"

    assert dumps([Loss(0.25), Count(3)]) == "[0.25,3]"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, LARGEST + 1, -LARGEST - 1, "\ud800", {"\ud800": 1}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the number's own, or Python's
        dumps(["before", value])


@pytest.mark.parametrize("mapping", [{1: "a"}, {"a": 1, 2: "b"}, {"\u00e9": 1, 2: "b"}, {2: "b", "\u00e9": 1}])
def test_a_key_that_is_not_a_string_is_refused(mapping: dict[object, object]) -> None:
    with pytest.raises(ValueError, match="is not a string"):
        dumps(mapping)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), 1j])
def test_what_is_not_plain_data_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="is not plain data"):
        dumps({"value": value})
