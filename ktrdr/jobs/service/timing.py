"""When a schedule is due: by a cron expression in a time zone, or every so often. Imports the standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from ktrdr.jobs.service.cron import Cron, parse_cron

TICK = timedelta(microseconds=1)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhdw])")
#: What a length of time looks like, for people.
DURATION_FORM = "a whole number and a unit: 90s, 15m, 6h, 730d or 2w"
_LONGEST = timedelta(days=365 * 200)


def read_duration(text: str) -> timedelta:
    """`6h` as a length of time. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    length = timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else None
    if length is None or length > _LONGEST:
        raise ValueError(f"{text[:40]!r} is no length of time: write {DURATION_FORM}")
    return length


def read_zone(name: str) -> ZoneInfo:
    """A time zone of the IANA database. Raises ValueError for a name that it does not have."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # LookupError: not found; ValueError: a path; OSError: a folder
        raise ValueError(
            f"{name[:80]!r} is no time zone: write one as in Europe/Berlin, America/New_York or UTC"
        ) from None


@dataclass(frozen=True, slots=True)
class Span:
    """Moments in a row."""

    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Either `cron` with `zone`, or `every` counted from `start`. Both ends belong to it. All moments are in UTC."""

    cron: Cron | None
    every: timedelta | None
    zone: ZoneInfo
    start: datetime | None
    end: datetime | None

    def moments(self, after: datetime) -> Iterator[datetime]:
        """The moments after another, in order."""
        for moment in self._endless(self._not_before_start(after)):
            if self.end is not None and moment > self.end:
                return
            yield moment

    def next(self, after: datetime) -> datetime | None:
        return next(self.moments(after), None)

    def upcoming(self, after: datetime, number: int) -> list[datetime]:
        return list(islice(self.moments(after), number))

    def span(self, after: datetime, until: datetime) -> Span | None:
        """The moments after `after` up to `until`, that one included; None if there are none."""
        first = self.next(after)
        if first is None or first > until:
            return None
        until = min(until, self.end) if self.end is not None else until
        if self.every is not None:
            steps = (until - first) // self.every
            return Span(first, first + steps * self.every, steps + 1)
        assert self.cron is not None
        count = self.cron.count(self.zone, after=first - TICK, until=until)
        return Span(first, self._newest(first, until), count)

    def _newest(self, first: datetime, until: datetime) -> datetime:
        """The newest moment up to `until`, found by looking back ever further; `first` is one."""
        back = timedelta(hours=1)
        while until - back > first:
            newest = None
            for moment in self.moments(until - back):
                if moment > until:
                    break
                newest = moment
            if newest is not None:
                return newest
            back *= 8
        return list(self._up_to(first - TICK, until))[-1]

    def _up_to(self, after: datetime, until: datetime) -> Iterator[datetime]:
        for moment in self.moments(after):
            if moment > until:
                return
            yield moment

    def _not_before_start(self, after: datetime) -> datetime:
        return after if self.start is None else max(after, self.start - TICK)

    def _endless(self, after: datetime) -> Iterator[datetime]:
        if self.every is None:
            assert self.cron is not None
            yield from self.cron.moments(self.zone, after=after)
            return
        assert self.start is not None
        moment = self.start + ((after - self.start) // self.every + 1) * self.every
        while moment.year < 9999:
            yield moment
            moment += self.every


def read_timing(
    *, cron: str | None, every: str | None, timezone: str, start: datetime | None, end: datetime | None
) -> Timing:
    """The timing that texts say. Raises ValueError."""
    return Timing(
        cron=parse_cron(cron) if cron is not None else None,
        every=read_duration(every) if every is not None else None,
        zone=read_zone(timezone),
        start=start.astimezone(UTC) if start else None,
        end=end.astimezone(UTC) if end else None,
    )
