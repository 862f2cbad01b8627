"""Which samples of a symbol train, validate and test the model, so that no part knows of the next. Imports numpy only.

Purging and embargo follow López de Prado, Advances in Financial Machine Learning (2018), section 7.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]

#: Share of a symbol's samples that is left out between two parts, beyond those that are purged.
EMBARGO = 0.01


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the bars of each part, ascending; every position of one part lies before those of the next."""

    train: Positions
    validation: Positions
    test: Positions
    #: How many samples are in no part: their label reaches into the next part or the embargo before it.
    left_out: int


def split_rows(
    rows: Positions, label_ends: Positions, shares: tuple[float, float, float], fitted_until: int = 0
) -> Split:
    """Cuts one symbol's samples into three parts by time.

    `rows` are the positions of the bars that are samples, ascending; `label_ends[i]` is the last bar that the label of
    sample i depends on. A sample stays in its part only if that bar lies before the embargo that precedes the next one.

    `shares` are shares of the samples, but no bar before `fitted_until` leaves the train part: estimates were made of
    it. That is a share of the bars, which samples that are events need not follow. The other two share what is left.
    """
    count = len(rows)
    gap = math.ceil(count * EMBARGO)
    first = round(count * shares[0])
    second = round(count * (shares[0] + shares[1]))
    fitted = int(rows.searchsorted(fitted_until))
    if fitted > first:
        first = fitted
        second = first + round((count - first) * shares[1] / (shares[1] + shares[2]))
    train = _before(rows, label_ends, 0, first, gap)
    validation = _before(rows, label_ends, first, second, gap)
    test = rows[second:]
    return Split(train, validation, test, count - len(train) - len(validation) - len(test))


def _before(rows: Positions, label_ends: Positions, start: int, stop: int, gap: int) -> Positions:
    """The samples from `start` to `stop` whose label is known before the embargo that ends at sample `stop` begins."""
    if stop >= len(rows):  # No part follows.
        return rows[start:stop]
    embargo = rows[max(stop - gap, 0)]
    known: Positions = rows[start:stop][label_ends[start:stop] < embargo]
    return known
