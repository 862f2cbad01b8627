"""Section 8: what the model's outputs mean as buy, hold or sell, and which position follows. Imports numpy only.

A decision is made at the close of a bar from that bar and those before it; the position that it leads to is held from
that close on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.strategy.model import CostModel, Decisions

Floats = NDArray[np.float64]
Names = NDArray[np.str_]
Times = NDArray[np.datetime64]
#: 1 = up or long, -1 = down or short, 0 = neither.
Signs = NDArray[np.int8]

#: Classes that expect rising and falling prices, of every label source; all others are no signal.
RISING, FALLING = ("buy", "bullish", "up"), ("sell", "bearish", "down")


def decide_by_class(probabilities: Floats, classes: tuple[str, ...], confidence_threshold: float) -> Names:
    """The most probable class of each row of (rows, classes), or hold where its probability is below the threshold."""
    sure = probabilities.max(axis=1) >= confidence_threshold
    return np.where(sure, np.array(classes)[probabilities.argmax(axis=1)], "hold")


def decide_by_forecast(returns: Floats, costs: CostModel) -> Names:
    """Buy above what a trade costs times the edge it must have, sell below the negative of that, else hold."""
    edge = costs.round_trip_cost * costs.min_edge_multiplier
    return np.select([returns > edge, returns < -edge], ["buy", "sell"], "hold")


def signals_of(decisions: Names) -> Signs:
    """1 for each decision that expects rising prices, -1 for falling ones, 0 for the rest."""
    return np.isin(decisions, RISING).astype(np.int8) - np.isin(decisions, FALLING).astype(np.int8)


def positions_of(signals: Signs, times: Times, rules: Decisions) -> Signs:
    """The position of one symbol after each bar's signal: 1 long, -1 short, 0 none; before the first bar it is 0.

    `times` (datetime64[ns], ascending) say when the bars open. A signal of 0 leaves the position as it is. Any other:

    - less than `min_signal_separation` hours after the last one that was followed is ignored;
    - with `position_awareness`: one in the direction of the position is ignored; one against it closes it; without a
      position, a buy opens a long one, and a sell a short one if `allow_short_from_flat`, otherwise it is ignored;
    - without `position_awareness`, which takes each signal as if it were the first: a buy leads to a long position and
      a sell to a short one (to none without `allow_short_from_flat`), whatever was held before. A repeated signal
      changes nothing, but the separation counts from it.
    """
    count = len(signals)
    if count == 0:
        return np.zeros(0, dtype=np.int8)
    # Where one looks for the next signal after having followed one at each bar.
    separation = np.timedelta64(round(rules.min_signal_separation * 3600e9), "ns")
    resume = np.maximum(np.searchsorted(times, times + separation), np.arange(1, count + 1))
    next_buy, next_sell = _next_place(signals > 0), _next_place(signals < 0)
    followed, positions = [], []
    bar, position = 0, 0
    while True:
        if rules.position_awareness:
            may_buy, may_sell = position <= 0, position > 0 or (position == 0 and rules.allow_short_from_flat)
        else:
            may_buy, may_sell = True, position != 0 or rules.allow_short_from_flat
        buy, sell = (int(next_buy[bar]) if may_buy else count), (int(next_sell[bar]) if may_sell else count)
        bar = min(buy, sell)
        if bar == count:
            break
        direction = 1 if buy < sell else -1
        if rules.position_awareness:
            position += direction
        else:
            position = direction if direction > 0 or rules.allow_short_from_flat else 0
        followed.append(bar)
        positions.append(position)
        bar = int(resume[bar])
    changes = np.zeros(count, dtype=np.int8)
    changes[followed] = np.diff(positions, prepend=0)
    return np.cumsum(changes, dtype=np.int8)


def _next_place(wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each place, and for the one after the last, the nearest wanted place from there on; the length if none."""
    count = len(wanted)
    places = np.full(count + 1, count)
    places[:-1][wanted] = np.flatnonzero(wanted)
    return np.minimum.accumulate(places[::-1])[::-1]
