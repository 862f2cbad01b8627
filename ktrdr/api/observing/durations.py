"""How long something took, many times: a histogram that costs half a microsecond. Imports the standard library only.

(prometheus-client's own takes a lock and walks through its bounds, some microseconds of a submission's 600.)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

#: Seconds: of what answers a request.
SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Of what a job waits for.
LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)


class Durations:
    """Counts by upper bound. One thread observes; another may read at the same time."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float] = SHORT) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        #: Of all that was observed, in seconds.
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        return sum(self._counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """For each bound how many took no longer, as Prometheus wants it."""
        total, found = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), list(self._counts), strict=True):
            total += count
            found.append((bound, float(total)))
        return found
