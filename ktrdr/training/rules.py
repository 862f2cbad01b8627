"""A network's behaviour as fuzzy rules in words: IF momentum is strong AND trend is present THEN buy. Imports numpy.

A network has no rules; these say which memberships, when they fire, speak for an answer, and how much. The strength of
a condition is its contribution (`ktrdr.training.attribution`), and that of a rule the sum over its conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.strategy.names import FeatureColumn

Floats = NDArray[np.float64]

#: A membership fires where its degree is above this.
FIRES = 0.05
#: Conditions of a rule, and the share of the strongest's contribution that a condition or another rule must have.
_MOST_CONDITIONS, _LEAST_SHARE = 3, 0.1
#: Rules per answer, and the share of bars at which one must fire to be one.
_MOST_RULES, _LEAST_SUPPORT = 3, 0.02


class Condition(TypedDict):
    feature: str
    #: Its degree at the bar.
    degree: float
    contribution: float


class Rule(TypedDict):
    """What spoke for an answer at one bar."""

    text: str
    answer: str
    strength: float
    conditions: list[Condition]


class UsualRule(TypedDict):
    """What speaks for an answer over many bars."""

    text: str
    answer: str
    #: Mean over the bars at which all conditions fire.
    strength: float
    #: Share of the bars at which they do.
    support: float
    features: list[str]


def rule_at(
    columns: Sequence[FeatureColumn], degrees: Floats, contributions: Floats, answer: str, *, timeframes: int
) -> Rule | None:
    """The firing memberships that contributed most to `answer`, at most one of each input; None if none did.

    `columns` are memberships, `degrees` and `contributions` theirs, (memberships,).
    """
    chosen: dict[str, int] = {}
    for place in np.argsort(-contributions, kind="stable"):
        column = columns[place]
        if degrees[place] > FIRES and contributions[place] > 0.0:
            chosen.setdefault(f"{column.timeframe} {column.of}", int(place))
    strongest = list(chosen.values())[:_MOST_CONDITIONS]
    strongest = [place for place in strongest if contributions[place] >= _LEAST_SHARE * contributions[strongest[0]]]
    if not strongest:
        return None
    strength = float(contributions[strongest].sum())
    conditions = (f"{_words(columns[place], timeframes)} ({degrees[place]:.2f})" for place in strongest)
    return Rule(
        text=f"IF {' AND '.join(conditions)} THEN {answer} ({_signed(strength)})",
        answer=answer,
        strength=strength,
        conditions=[
            Condition(
                feature=columns[place].name, degree=float(degrees[place]), contribution=float(contributions[place])
            )
            for place in strongest
        ],
    )


def usual_rules(
    columns: Sequence[FeatureColumn], degrees: Floats, contributions: Floats, answer: str, *, timeframes: int
) -> list[UsualRule]:
    """The strongest rules of one or two conditions over many bars: those that added most to `answer` in all.

    `degrees` and `contributions` are (bars, memberships).
    """
    fires = (degrees > FIRES).astype(np.float64)
    counts = fires.T @ fires
    # In row i, column j: what j contributed where i fired too.
    sums = fires.T @ (fires * contributions)
    totals = sums + sums.T
    np.fill_diagonal(totals, sums.diagonal())
    of_input = np.array([f"{column.timeframe} {column.of}" for column in columns])
    is_rule = (of_input[:, None] != of_input[None, :]) | np.eye(len(columns), dtype=bool)
    is_rule &= counts >= max(_LEAST_SUPPORT * len(degrees), 1.0)
    totals = np.where(np.triu(is_rule), totals, -np.inf)

    found: list[UsualRule] = []
    named: set[int] = set()
    for flat in np.argsort(-totals, axis=None, kind="stable"):
        one, other = (int(place) for place in np.unravel_index(flat, totals.shape))
        if len(found) == _MOST_RULES or totals[one, other] <= max(_LEAST_SHARE * totals.max(), 0.0):
            break
        # A rule that shares a condition with a stronger one says little new; a condition that weakens none at all.
        if named & {one, other} or min(sums[one, other], sums[other, one]) <= 0.0:
            continue
        named |= {one, other}
        places = list(dict.fromkeys((one, other) if sums[other, one] >= sums[one, other] else (other, one)))
        strength = float(totals[one, other] / counts[one, other])
        conditions = " AND ".join(_words(columns[place], timeframes) for place in places)
        found.append(
            UsualRule(
                text=f"IF {conditions} THEN {answer} ({_signed(strength)})",
                answer=answer,
                strength=strength,
                support=float(counts[one, other] / len(degrees)),
                features=[columns[place].name for place in places],
            )
        )
    return found


def _words(column: FeatureColumn, timeframes: int) -> str:
    """`momentum is strong`; the timeframe is named where there are several."""
    what = f"{column.of} on {column.timeframe}" if timeframes > 1 else column.of
    if column.lag:
        return f"{what} was {column.membership} {column.lag} {'bar' if column.lag == 1 else 'bars'} before"
    return f"{what} is {column.membership}"


def _signed(strength: float) -> str:
    """Two decimals, or two digits of what is smaller: forecasts are small numbers."""
    return f"{strength:+.2f}" if abs(strength) >= 0.1 else f"{strength:+.2g}"
