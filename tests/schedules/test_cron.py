"""Cron expressions fire when an independent reader says, on every day that the clock is set, and each moment once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrdr.jobs.service.cron import CronError, parse_cron

MINUTE = timedelta(minutes=1)
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata",
    "Pacific/Apia",
]  # fmt: skip


def _field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    # croniter takes the weekdays 0-0 for all of them.
    pair = st.lists(number, min_size=2, max_size=2, unique=True).map(sorted)
    part = st.one_of(
        number.map(str),
        pair.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.tuples(pair, st.integers(1, most)).map(lambda drawn: f"{drawn[0][0]}-{drawn[0][1]}/{drawn[1]}"),
    )
    steps = st.integers(2, max(2, most // 2)).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), steps, st.lists(part, min_size=1, max_size=3).map(",".join))


minutes, hours = _field(0, 59), _field(0, 23)
expressions = st.tuples(minutes, hours, _field(1, 28), _field(1, 12), _field(0, 6)).map(" ".join)
moments = st.integers(0, 20_000_000).map(lambda minutes: datetime(1995, 1, 1, tzinfo=UTC) + minutes * MINUTE)


@settings(max_examples=150)
@given(text=expressions, after=moments)
def test_in_utc_the_moments_are_those_that_croniter_finds(text: str, after: datetime) -> None:
    day, weekday = text.split()[2], text.split()[4]
    found = list(islice(parse_cron(text).moments(UTC, after=after), 4))
    # Of two restricted fields croniter takes `*/2` for one, and crontab(5) does not.
    either = not (day.startswith("*") or weekday.startswith("*"))
    reference = croniter(text, after, day_or=either, max_years_between_matches=50)
    assert found == [reference.get_next(datetime) for _ in range(4)]


@pytest.mark.parametrize("weekday", range(8))
def test_numbers_of_weekdays_count_from_sunday(weekday: int) -> None:
    first = next(parse_cron(f"0 0 * * {weekday}").moments(UTC, after=datetime(2024, 1, 3, tzinfo=UTC)))
    assert first.strftime("%w") == str(weekday % 7)


def by_walking(text: str, zone: ZoneInfo, after: datetime, until: datetime) -> list[datetime]:
    """Minute after minute by the clock on the wall, as one would who has never heard of summer time."""
    cron, found = parse_cron(text), set()
    wall = after.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0) - timedelta(days=2)
    while wall <= until.astimezone(zone).replace(tzinfo=None) + timedelta(days=2):
        if cron.is_on(wall.date()) and wall.hour in cron.hours and wall.minute in cron.minutes:
            found.add(wall.replace(tzinfo=zone).astimezone(UTC))
        wall += MINUTE
    return sorted(moment for moment in found if after < moment <= until)


#: Days on which the clock is set in one of the zones, and some on which it is not.
set_clocks = st.sampled_from(
    [
        "2024-03-31", "2024-10-27", "2024-03-10", "2024-11-03", "2024-10-06", "2024-04-07", "2018-11-04", "2011-12-30",
        "2024-06-01",
    ]
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    times=st.tuples(minutes, hours), days=st.sampled_from(["* * *", "* * 0,6", "30,31,6 * *", "4 11 *"]),
    zone=st.sampled_from(ZONES).map(ZoneInfo), day=set_clocks,
    span=st.tuples(st.integers(0, 3_000), st.integers(1, 6_000)),
)  # fmt: skip
def test_where_the_clock_is_set_no_moment_is_lost_and_none_comes_twice(
    times: tuple[str, str], days: str, zone: ZoneInfo, day: str, span: tuple[int, int]
) -> None:
    text = f"{times[0]} {times[1]} {days}"
    after = datetime.fromisoformat(day).replace(tzinfo=UTC) - span[0] * MINUTE
    until = after + span[1] * MINUTE
    cron = parse_cron(text)
    found = list(takewhile(lambda moment: moment <= until, cron.moments(zone, after=after)))
    assert found == by_walking(text, zone, after, until)
    assert cron.count(zone, after=after, until=until) == len(found)


def in_berlin(text: str, after: str, number: int) -> list[str]:
    zone = ZoneInfo("Europe/Berlin")
    moment = datetime.fromisoformat(after).replace(tzinfo=zone).astimezone(UTC)
    found = islice(parse_cron(text).moments(zone, after=moment), number)
    return [moment.astimezone(zone).strftime("%d %H:%M %z") for moment in found]


def test_a_time_that_the_clock_jumps_over_fires_as_much_later() -> None:
    assert in_berlin("30 2 * * *", "2024-03-30", 3) == ["30 02:30 +0100", "31 03:30 +0200", "01 02:30 +0200"]
    # What is due then anyway is due once.
    assert in_berlin("30 2,3 * * *", "2024-03-31", 2) == ["31 03:30 +0200", "01 02:30 +0200"]


def test_a_time_that_comes_twice_fires_the_first_time() -> None:
    assert in_berlin("30 2 * * *", "2024-10-27", 2) == ["27 02:30 +0200", "28 02:30 +0100"]
    assert in_berlin("0 * * * *", "2024-10-27T01:00", 3) == [
        "27 02:00 +0200",
        "27 03:00 +0100",
        "27 04:00 +0100",
    ]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("@daily", "0 0 * * *"),
        ("@weekly", "0 0 * * sun"),
        ("0 0 * JAN-MAR Mon-Fri", "0 0 * 1-3 1-5"),
        ("0 0 * * fri-sun", "0 0 * * 5,6,0"),
        ("0 0 * * 5-7", "0 0 * * 5,6,0"),
        ("10/20 0 * * *", "10,30,50 0 * * *"),
        (" 0  0 * * *\t", "0 0 * * *"),
    ],
)
def test_ways_to_say_the_same(text: str, meaning: str) -> None:
    assert parse_cron(text) == parse_cron(meaning)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields: write MINUTE HOUR DAY MONTH WEEKDAY"),
        ("60 * * * *", "the minute '60' is not possible: '60' is no number from 0 to 59"),
        ("* 5-1 * * *", "the hour '5-1' goes backwards"),
        ("*/0 * * * *", "has a step of 0"),
        ("* * 0 * *", "'0' is no number from 1 to 31"),
        ("* * * foo *", "or one of jan feb mar"),
        ("* * * * monday", "or one of sun mon"),
        ("*-3 * * * *", "begins with \\*"),
        ("1,,2 * * * *", "cannot be read"),
        ("² * * * *", "cannot be read"),
        ("0 0 30 2 *", "names a day that no year has"),
        ("9" * 5000 + " * * * *", "cannot be read"),
    ],
)
def test_what_is_no_cron_expression_is_told(text: str, told: str) -> None:
    with pytest.raises(CronError, match=told):
        parse_cron(text)


def test_a_year_of_minutes_is_counted_at_once() -> None:
    zone, after = ZoneInfo("America/New_York"), datetime(2024, 1, 1, tzinfo=UTC)
    # The minutes that are jumped over come together with those an hour later; those that come twice come once.
    until = datetime(2025, 1, 1, tzinfo=UTC)
    assert parse_cron("* * * * *").count(zone, after=after - MINUTE, until=until - MINUTE) == 366 * 1440 - 60
