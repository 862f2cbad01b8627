"""The only reader of the wall clock. Imports the event vocabulary and the standard library."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ktrdr.jobs.events import Instant

Clock = Callable[[], datetime]
#: A look may miss what is recorded already but not committed yet.
_LONGEST_COMMIT_SECONDS = 1.0


def system_clock() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)


def to_instant(moment: datetime) -> Instant:
    """An aware moment as the text that the log stores, e.g. `2026-11-24T09:30:00.000000Z`.

    Raises ValueError for a naive moment: no one could say when that was.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return Instant(f"{utc.isoformat(timespec='microseconds')}Z")


def from_instant(instant: Instant) -> datetime:
    return datetime.fromisoformat(instant)


def steady_moment(age_seconds: float, *, after: float, now: float) -> float | None:
    """Where on the steady clock (time.monotonic) something lies that is so old by a wall clock; None if it cannot be.

    It lies between the last look that did not find it yet, `after`, and the one that did, `now`. An age that leads
    elsewhere was measured with a clock that was set in between, or with two that disagree.
    """
    moment = now - age_seconds
    return moment if after - _LONGEST_COMMIT_SECONDS <= moment <= now + _LONGEST_COMMIT_SECONDS else None


def later(instant: Instant, seconds: float) -> Instant:
    return to_instant(from_instant(instant) + timedelta(seconds=seconds))
