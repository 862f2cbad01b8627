"""Hypothesis strategies for plain JSON values and for every event type, made from the fields of its class."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from ktrdr.clock import to_instant
from ktrdr.jobs.codec import EVENT_TYPES
from ktrdr.jobs.events import Instant, JobId

LARGEST = 2**53 - 1

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
integers = st.integers(-LARGEST, LARGEST)
numbers = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | integers | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
mappings = st.dictionaries(texts, json_values, max_size=4)
instants = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year > 1000).map(to_instant)


@cache
def events_of(event_type: type[Any]) -> st.SearchStrategy[Any]:
    """Any event of one type."""
    hints = {name: hint for name, hint in get_type_hints(event_type).items() if name != "SCHEMA"}
    return st.builds(event_type, **{name: _values(hint) for name, hint in hints.items()})


def events() -> st.SearchStrategy[Any]:
    """Any event of any type."""
    return st.one_of([events_of(event_type) for event_type in EVENT_TYPES.values()])


def _values(hint: Any) -> st.SearchStrategy[Any]:
    plain = {
        str: texts, JobId: texts, int: integers, float: numbers, bool: st.booleans(), Instant: instants,
        type(None): st.none(),
    }  # fmt: skip
    if hint is Any:
        return json_values
    if hint in plain:
        return plain[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    if get_origin(hint) is tuple:
        return st.lists(_values(get_args(hint)[0]), max_size=3).map(tuple)
    if get_origin(hint) is Mapping:
        value_hint = get_args(hint)[1]
        return mappings if value_hint is Any else st.dictionaries(texts, _values(value_hint), max_size=3)
    if isinstance(hint, UnionType) or get_origin(hint) is not None:
        return st.one_of([_values(choice) for choice in get_args(hint)])
    raise TypeError(f"no strategy for {hint}")
