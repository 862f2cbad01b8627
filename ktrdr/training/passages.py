"""First passages: where a series first reaches a bound, and the walk from one passage to the next. Imports numpy only.

Swings and CUSUM events have in common that the next one depends on where the last one was. Here the next one is found
for every start at once, and then only followed, in a number of array operations that grows with the logarithm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Positions = NDArray[np.int64]


def next_passages(values: Array, bounds: Array) -> Positions:
    """For each start s, the first position p that has values[p] >= bounds[k] for some k from s to p; `len(values)`
    where there is none. Both series are of one length.

    The answer for s is the smallest of the first positions that reach bounds[k], over all k from s on. A bound does not
    count if one as low follows before it is reached, which leaves few to search for.
    """
    count = len(values)
    first = np.where(values >= bounds, np.arange(count), count)
    counts = first == count
    counts[:-1] &= bounds[1:] > bounds[:-1]
    searched = np.flatnonzero(counts)
    reached, position = _first_reaching(values, bounds, searched)
    first[reached] = position
    return np.ascontiguousarray(np.minimum.accumulate(first[::-1])[::-1])


def walk(following: Positions, start: int) -> Positions:
    """The positions start, following[start], and so on, up to the first that is no position of `following`.

    following[i] > i. Doubling: who knows the first n steps of the walk and where n steps lead from anywhere, knows the
    first 2 n steps.
    """
    count = len(following)
    leap = np.append(following, count)
    visited = np.zeros(count + 1, dtype=bool)
    visited[start] = True
    while leap[start] < count:
        visited[leap[np.flatnonzero(visited)]] = True
        leap = leap[leap]
    return np.flatnonzero(visited[:count])


def _first_reaching(values: Array, bounds: Array, searched: Positions) -> tuple[Positions, Positions]:
    """For the numbers k in `searched`, the first position after k that reaches bounds[k], as pairs (k, position).

    Left out are those that are never reached, and those that a bound as low follows before they are. Both series are
    halved again and again into pyramids of the extremes of blocks. A search climbs as long as the block before it holds
    nothing, twice as much with each level, then descends to the very position.
    """
    highest, lowest = _pyramid(values, np.maximum, -np.inf), _pyramid(bounds, np.minimum, np.inf)
    block = searched + 1
    found: list[tuple[Positions, Positions]] = []
    for high, low in zip(highest, lowest, strict=True):
        inside = block < len(high)
        searched, block = searched[inside], block[inside]
        # A left half is looked into together with its right one, a level further up.
        looks = (block & 1 == 1) | (len(high) == 1)
        looking, where = searched[looks], block[looks]
        bound = bounds[looking]
        reached = high[where] >= bound
        found.append((looking[reached], where[reached]))
        goes_on = ~reached & (low[where] > bound)
        searched = np.concatenate((searched[~looks], looking[goes_on]))
        block = np.concatenate((block[~looks], where[goes_on] + 1)) >> 1
    return _descend(highest, bounds, found)


def _descend(
    highest: list[Array], bounds: Array, found: list[tuple[Positions, Positions]]
) -> tuple[Positions, Positions]:
    """From the block that was found at some level to the position, a level at a time."""
    searched = block = np.arange(0)
    for level in reversed(range(len(highest))):
        searched = np.concatenate((searched, found[level][0]))
        block = np.concatenate((block, found[level][1]))
        if level > 0:
            block <<= 1
            block += highest[level - 1][block] < bounds[searched]
    return searched, block


def _pyramid(values: Array, extreme: np.ufunc, nothing: float) -> list[Array]:
    """The extremes of all blocks of 1, 2, 4, ... values, up to one block of all."""
    levels = [values]
    while len(levels[-1]) > 1:
        below = levels[-1] if len(levels[-1]) % 2 == 0 else np.append(levels[-1], nothing)
        levels.append(extreme(below[::2], below[1::2]))
    return levels
