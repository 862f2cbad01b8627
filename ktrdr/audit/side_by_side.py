"""Several trainings side by side: where not all of them are equal, as `ktrdr.audit.causes` tells it of two.

Imports jobs and the audit's own parts. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ktrdr.audit.attempts import Attempt, contributing
from ktrdr.audit.causes import MISSING, Cause, Kind, Place, Reach, begins, causes, device_of, rank, together
from ktrdr.jobs.events import JobSubmitted
from ktrdr.training.faults import dotted


@dataclass(frozen=True, slots=True)
class Training:
    """What is compared of a job."""

    submitted: JobSubmitted
    #: All of them, the oldest first.
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that is not the same for all."""

    kind: Kind
    place: Place
    #: One of each training; MISSING where it has none.
    values: tuple[Any, ...]
    reach: Reach

    @property
    def path(self) -> str:
        return dotted(self.place)


def side_by_side(trainings: Sequence[Training]) -> list[Row]:
    """Every recorded difference on which a result can depend, in the order in which they act; of two, their causes."""
    found: dict[Place, Cause] = {}
    for a, b in combinations(trainings, 2):
        for cause in causes(a.submitted, b.submitted, a.attempts, b.attempts):
            found.setdefault(cause.place, cause)
    # Where two have different keys below a place and a third has none of it, the place itself is told.
    told = [cause for place, cause in found.items() if not any(place[:end] in found for end in range(1, len(place)))]
    order = list(Kind)
    told.sort(key=lambda cause: (order.index(cause.kind), rank(cause.place[1:]) if cause.kind is Kind.STRATEGY else 0))
    facts = [_facts(training) for training in trainings]
    return [
        Row(
            kind=cause.kind,
            place=cause.place,
            values=tuple(_value(fact, cause.place) for fact in facts),
            reach=cause.reach,
        )
        for cause in told
    ]


def _facts(training: Training) -> Mapping[str, Any]:
    """Everything that a cause can name of a training, under the names that causes give it."""
    submitted, attempts = training.submitted, training.attempts
    prices: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for one in submitted.prices:
        prices[one["symbol"]][one["timeframe"]] = one["digest"]
    facts: dict[str, Any] = {
        "prices": prices,
        "context": {one["name"]: one["digest"] for one in submitted.context},
        "strategy": submitted.strategy,
        "code_version": submitted.code_version,
        "forked_from": submitted.forked_from,
        "seed": submitted.seed,
    }
    if attempts:
        chain = contributing(attempts)
        facts |= {
            "numeric_profile": together([one.claimed.numeric_profile for one in chain]),
            "device": together([device_of(one, submitted) for one in chain]),
            "starts_from": begins(submitted),
            "attempts": {"count": len(attempts), "resumed_from": [one.resumed_from for one in attempts]},
        }
    return facts


def _value(facts: Any, place: Place) -> Any:
    for part in place:
        try:
            facts = facts[part]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return facts
