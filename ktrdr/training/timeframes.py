"""The time arithmetic of bars: how long one lasts, when it closes, which one was the last to close. Imports numpy only.

Times are int64 nanoseconds since 1970, UTC, ascending. Everything here errs to the late side: a bar never counts as
closed before its last trade can have happened.
"""

from __future__ import annotations

from collections.abc import Container

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.strategy.model import TIMEFRAMES

Nanoseconds = NDArray[np.int64]

MINUTE = 60 * 10**9
_DAY = 24 * 60
#: Timeframe → the minutes from one bar to the next. Those of months differ.
MINUTES = dict(zip(TIMEFRAMES, (1, 5, 15, 30, 60, 120, 240, _DAY, 7 * _DAY), strict=False))
#: Timeframe (and 1Q, a frequency of context series) → its months and the most days that they have.
_MONTHS = {"1M": (1, 31), "1Q": (3, 92)}
#: 1970 began on a Thursday, its first Monday was the 5th.
_MONDAY = 4 * _DAY * MINUTE


def usual_minutes(frequency: str) -> range:
    """How far apart the openings of two bars in sequence are, in minutes."""
    if frequency in _MONTHS:
        months, most = _MONTHS[frequency]
        fewest = 28 if months == 1 else 90
        return range(fewest * _DAY, most * _DAY + 1)
    return range(MINUTES[frequency], MINUTES[frequency] + 1)


def closes(opens: Nanoseconds, frequency: str) -> Nanoseconds:
    """When the bars that open at `opens` have closed.

    A month (or quarter) that opens on the first of a month ends on the first of another. One that opens on any other
    day, because its time is that of another time zone or its first trading day, may last as long as the longest month.
    """
    if frequency not in _MONTHS:
        return opens + MINUTES[frequency] * MINUTE
    months, most_days = _MONTHS[frequency]
    moments = opens.view("M8[ns]")
    month = moments.astype("M8[M]")
    within = moments - month
    following = (month + months).astype("M8[ns]") + within
    closing = np.where(within < np.timedelta64(1, "D"), following, moments + np.timedelta64(most_days, "D"))
    return np.maximum.accumulate(closing.view(np.int64))


def periods(moments: Nanoseconds, timeframe: str) -> Nanoseconds:
    """When the bars begin that hold the moments: counted from midnight UTC, from Monday, from the first of a month."""
    if timeframe in _MONTHS:
        return moments.view("M8[ns]").astype("M8[M]").astype("M8[ns]").view(np.int64)
    length, first = MINUTES[timeframe] * MINUTE, _MONDAY if timeframe == "1w" else 0
    return (moments - first) // length * length + first


def last_closed(closing: Nanoseconds, moments: Nanoseconds) -> NDArray[np.int64]:
    """For each moment the position of the last bar that had closed by then; -1 when none had."""
    return closing.searchsorted(moments, side="right") - 1


def sources(timeframe: str) -> tuple[str, ...]:
    """The timeframes whose bars can be joined to bars of this one, the best first: the longest that fit in evenly."""
    shorter = TIMEFRAMES[: TIMEFRAMES.index(timeframe)][::-1]
    return (*shorter[1:], "1w") if timeframe == "1M" else shorter  # no month is made of whole weeks


def source_of(timeframe: str, available: Container[str]) -> str | None:
    """The timeframe of the data that its bars come from: itself, or else the best of its sources that there is."""
    return next((one for one in (timeframe, *sources(timeframe)) if one in available), None)
