"""Cron expressions: five fields to the moments that they name, in any time zone. Imports the standard library only.

Fields are read as crontab(5) says it: weekdays count from Sunday (0 and 7), and where both day of month and weekday are
restricted (neither begins with `*`), either will do. A time that the clock jumps over in spring fires as much later as
the clock jumps, so that nothing is left out; a time that comes twice in autumn fires the first time only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

_DAY = timedelta(days=1)
#: 29 February may be so many years away (1896 to 1904); what does not come by then never does.
_YEARS_AHEAD = 9

_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11,
    "dec": 12,
}  # fmt: skip
_WEEKDAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_SHORTHANDS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_PART = re.compile(r"(?P<first>\*|[0-9]{1,4}|[a-z]+)(?:-(?P<last>[0-9]{1,4}|[a-z]+))?(?:/(?P<step>[0-9]{1,4}))?")


class CronError(ValueError):
    """The text is no cron expression; the message says where and what would be right."""


@dataclass(frozen=True, slots=True)
class Cron:
    """What the five fields allow, each in order."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    #: From Sunday, 0.
    weekdays: tuple[int, ...]
    #: Whether a day must be right by both its number and its weekday; otherwise one of them is enough.
    needs_both: bool

    def is_on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_number, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_number and by_weekday if self.needs_both else by_number or by_weekday

    def moments(self, zone: tzinfo, *, after: datetime) -> Iterator[datetime]:
        """The moments after another, in UTC and in order."""
        for day in self._days(after.astimezone(zone).date() - _DAY):
            for moment in self._moments_of(day, zone, after):
                if moment > after:
                    after = moment
                    yield moment

    def count(self, zone: tzinfo, *, after: datetime, until: datetime) -> int:
        """How many moments there are after `after` up to `until`, that one included."""
        number = 0
        for day in self._days(after.astimezone(zone).date() - _DAY):
            if _midnight(day, zone) - _DAY > until:  # the clock may have been set across the date line
                break
            first, last = self._moment(day, zone, 0), self._moment(day, zone, -1)
            if after < first and last <= until and _is_ordinary(day, zone):
                number += len(self.hours) * len(self.minutes)
                after = last
                continue
            for moment in self._moments_of(day, zone, after):
                if after < moment <= until:
                    number += 1
                    after = moment
        return number

    def _days(self, day: date) -> Iterator[date]:
        last_year = day.year + _YEARS_AHEAD
        while day.year <= min(last_year, date.max.year - 1):
            if day.month not in self.months:
                day = (day.replace(day=1) + 32 * _DAY).replace(day=1)
                continue
            if self.is_on(day):
                last_year = day.year + _YEARS_AHEAD
                yield day
            day += _DAY

    def _moments_of(self, day: date, zone: tzinfo, after: datetime) -> Iterable[datetime]:
        """Those of one day in order, of which the ones up to `after` may be missing."""
        if not _is_ordinary(day, zone):
            return sorted({_moment(day, hour, minute, zone) for hour in self.hours for minute in self.minutes})
        return (
            _moment(day, hour, minute, zone)
            for hour in self.hours
            if _moment(day, hour, self.minutes[-1], zone) > after
            for minute in self.minutes
        )

    def _moment(self, day: date, zone: tzinfo, place: int) -> datetime:
        return _moment(day, self.hours[place], self.minutes[place], zone)


def _moment(day: date, hour: int, minute: int, zone: tzinfo) -> datetime:
    # With fold=0 a time that comes twice is the first one, and one that never comes is reckoned with the offset that
    # held before the jump (PEP 495).
    return datetime.combine(day, time(hour, minute), zone).astimezone(UTC)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return _moment(day, 0, 0, zone)


def _is_ordinary(day: date, zone: tzinfo) -> bool:
    """Whether nobody touches the clock around a day."""
    return _midnight(day + 2 * _DAY, zone) - _midnight(day - _DAY, zone) == 3 * _DAY


@lru_cache(maxsize=256)
def parse_cron(text: str) -> Cron:
    """Reads `MINUTE HOUR DAY MONTH WEEKDAY`, or a shorthand such as `@daily`. Raises CronError."""
    fields = _SHORTHANDS.get(text.strip().lower(), text).lower().split()
    if len(fields) != 5:
        raise CronError(
            f"{text[:80]!r} has {len(fields)} fields: write MINUTE HOUR DAY MONTH WEEKDAY, as in '0 6 * * mon-fri', "
            f"or one of {', '.join(_SHORTHANDS)}"
        )
    minutes = _field("minute", fields[0], 0, 59)
    hours = _field("hour", fields[1], 0, 23)
    days = _field("day", fields[2], 1, 31)
    months = _field("month", fields[3], 1, 12, _MONTHS)
    weekdays = sorted({day % 7 for day in _field("weekday", fields[4], 0, 7, _WEEKDAYS)})
    cron = Cron(
        minutes=tuple(minutes), hours=tuple(hours), days=tuple(days), months=tuple(months), weekdays=tuple(weekdays),
        needs_both=fields[2].startswith("*") or fields[4].startswith("*"),
    )  # fmt: skip
    if next(cron._days(date(2000, 1, 1)), None) is None:
        raise CronError(f"{text[:80]!r} names a day that no year has")
    return cron


def _field(name: str, text: str, least: int, most: int, names: Mapping[str, int] | None = None) -> list[int]:
    """The numbers that a field allows, in order."""
    return sorted({number for part in text.split(",") for number in _part(name, part, least, most, names or {})})


def _part(name: str, text: str, least: int, most: int, names: Mapping[str, int]) -> range:
    said = f"the {name} {text[:40]!r}"
    match = _PART.fullmatch(text)
    if match is None:
        raise CronError(f"{said} cannot be read: write *, a number, a range 1-5, a step */5, or a list 1,3,5")
    step = int(match["step"] or 1)
    if step == 0:
        raise CronError(f"{said} has a step of 0")
    if match["first"] == "*":
        if match["last"]:
            raise CronError(f"{said} is a range that begins with *")
        # With 7 for Sunday too, */2 would go from Saturday to Sunday.
        return range(least, (6 if name == "weekday" else most) + 1, step)
    first = _number(said, match["first"], least, most, names)
    # As cron has it: 10/5 begins at 10 and goes on to the end.
    end = (6 if name == "weekday" else most) if match["step"] else first
    last = _number(said, match["last"], least, most, names) if match["last"] else max(first, end)
    if match["last"] == "sun" and first > 0:
        last = 7  # fri-sun
    if last < first:
        raise CronError(f"{said} goes backwards")
    return range(first, last + 1, step)


def _number(said: str, text: str, least: int, most: int, names: Mapping[str, int]) -> int:
    number = int(text) if text.isdigit() else names.get(text)
    if number is None or not least <= number <= most:
        known = f" or one of {' '.join(names)}" if names else ""
        raise CronError(f"{said} is not possible: {text[:40]!r} is no number from {least} to {most}{known}")
    return number
