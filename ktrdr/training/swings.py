"""Swings: the alternating extremes of a price, as zigzag indicators and labels know them. Imports numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.passages import Array, Positions, next_passages, walk

Flags = NDArray[np.bool_]

#: A smaller part of a price is lost in its last digits.
_LEAST_THRESHOLD = 1e-12


def pivots_of(close: Array, threshold: float) -> tuple[Positions, Positions]:
    """Positions of the alternating extremes of `close`, and of the bar at which each became certain.

    `close` holds prices above 0. The first bar counts as the first pivot. Each further one, of equal bars the first,
    lies at least `threshold` (a fraction of the price) from the one before; it is confirmed at the first bar that lies
    as far back again, the reversal. Nothing confirms the last one: the last bar stands for it.

    A reversal lies on the way to a turning point of the price, so it is searched among those, which are fewer; from
    every one of them on the next is found, and the legs are the walk from one to the next.
    """
    threshold = max(threshold, _LEAST_THRESHOLD)
    far = (close >= close[0] * (1.0 + threshold)) | (close <= close[0] * (1.0 - threshold))
    far &= close != close[0]
    first_reversal = int(far.argmax())
    if not far[first_reversal]:
        return np.array([0]), np.array([0])
    turns = _turning_points(close)
    extremes = close[turns]
    starts_low = bool(extremes[0] < close[0])
    legs = walk(_next_reversals(extremes, starts_low, threshold), int(turns.searchsorted(first_reversal)))
    rises = (legs % 2 == 1) == starts_low
    far_ends = turns[_far_ends(extremes, legs, rises)]
    bounds = close[far_ends[:-1]] * np.where(rises[1:], 1.0 + threshold, 1.0 - threshold)
    reversals = _first_beyond(close, turns[legs[1:] - 1], turns[legs[1:]], bounds)
    return np.append(0, far_ends), np.concatenate(([0], reversals, [len(close) - 1]))


def _turning_points(close: Array) -> Positions:
    """The bars at which the price turns, and the one at which it changes for the last time; of equal ones the first."""
    changes = np.flatnonzero(close[1:] != close[:-1]) + 1
    rises = close[changes] > close[changes - 1]
    turns: Positions = changes[np.append(rises[1:] != rises[:-1], True)]
    return turns


def _next_reversals(extremes: Array, starts_low: bool, threshold: float) -> Positions:
    """For a leg to each of the alternating highs and lows, the number of the one that the next leg first goes to; the
    number of all where the leg is the last."""
    following = np.empty(len(extremes), dtype=np.int64)
    for first, is_low in ((0, starts_low), (1, not starts_low)):
        starts, targets = extremes[first::2], extremes[first + 1 :: 2]
        # A fall is a rise of the mirrored price, whose bound lies so much further from zero.
        values, bounds = (targets, starts * (1.0 + threshold)) if is_low else (-targets, -starts * (1.0 - threshold))
        values = np.append(values, [-np.inf] * (len(starts) - len(targets)))
        following[first::2] = first + 1 + 2 * next_passages(values, bounds)
    return np.minimum(following, len(extremes), out=following)


def _far_ends(extremes: Array, legs: Positions, rises: Flags) -> Positions:
    """For each leg, given the number of the first extreme it goes to, that of its highest or lowest: of equals the
    first."""
    lengths = np.diff(legs, append=len(extremes))
    starts = legs - legs[0]
    distances = extremes[legs[0] :] * np.repeat(np.where(rises, 1.0, -1.0), lengths)
    furthest = np.maximum.reduceat(distances, starts)
    candidates = np.flatnonzero(distances == np.repeat(furthest, lengths))
    far_ends: Positions = candidates[candidates.searchsorted(starts)] + legs[0]
    return far_ends


def _first_beyond(close: Array, before: Positions, at: Positions, bounds: Array) -> Positions:
    """On each way from a bar `before` its bound to one `at` or beyond it, along which the price does not turn, the
    first bar that has reached the bound. All ways are bisected at once."""
    rises = close[at] > close[before]
    while ((at - before) > 1).any():
        middle = (before + at) // 2
        reached = np.where(rises, close[middle] >= bounds, close[middle] <= bounds)
        before, at = np.where(reached, before, middle), np.where(reached, middle, at)
    return at
