"""Moments as the log stores them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_builders import NOON

from ktrdr.clock import from_instant, later, system_clock, to_instant

moments = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - a bound


@given(moments)
def test_a_moment_survives_the_journey_through_text(moment: datetime) -> None:
    assert from_instant(to_instant(moment)) == moment


@given(moments, moments)
def test_the_order_of_texts_is_the_order_of_moments(one: datetime, other: datetime) -> None:
    assert (to_instant(one) < to_instant(other)) == (one < other)


def test_a_moment_elsewhere_is_stored_in_utc() -> None:
    elsewhere = datetime(2026, 11, 24, 14, tzinfo=timezone(timedelta(hours=2)))
    assert to_instant(elsewhere) == NOON
    assert later(NOON, 0.5) == "2026-11-24T12:00:00.500000Z"


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        to_instant(datetime(2026, 11, 24))  # noqa: DTZ001 - the point of the test


def test_the_system_clock_is_aware() -> None:
    assert system_clock().tzinfo is UTC
