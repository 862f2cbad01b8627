"""Moments as requests give them: a time, or a position of the log. Imports the store's reader."""

from __future__ import annotations

from ktrdr.clock import to_instant
from ktrdr.jobs.events import Instant
from ktrdr.store.reader import Reader
from ktrdr.training.faults import Fault
from ktrdr.training.strategy.values import read_moment

#: Of a parameter that takes either.
DESCRIPTION = (
    "A position of the log, or a moment such as 2024-05-31T12:00:00Z; a bare date counts to its end. "
    "A moment after the newest event means the newest event."
)


def read_instant(text: str | None, name: str, faults: list[Fault], *, end: bool) -> Instant | None:
    """The moment that a parameter gives; with `end`, a bare date means its end. What is none is added to `faults`."""
    if text is None:
        return None
    moment = read_moment(text, end_of_day=end)
    if moment is None:
        faults.append(Fault((name,), f"{text[:80]!r} is not a moment", "write 2024-05-31 or 2024-05-31T12:00:00Z"))
        return None
    return to_instant(moment)


def read_position(text: str | None, name: str, faults: list[Fault], reader: Reader) -> int | None:
    """The position of the newest event as of the position or moment that a parameter gives; 0 before the first event.

    What is neither, or a position that the log has not reached, is added to `faults`: nobody knows yet what will be
    there, and the same question would get another answer later.
    """
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        instant = read_instant(text, name, faults, end=True)
        return None if instant is None else reader.position_at(instant, after=True) - 1
    last = reader.last_position()
    if len(text) > len(str(last)) or int(text) > last:
        problem = f"{text[:80]} is not a position yet: the newest event is at {last}"
        faults.append(Fault((name,), problem, "ask for that or an earlier one"))
        return None
    return int(text)
