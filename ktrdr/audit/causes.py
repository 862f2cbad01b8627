"""What can make the results of two trainings differ, as the log recorded it: every such difference, in order.

Imports jobs, and of the training what faults call a path. Pure. Left out is what no result depends on: labels,
priority, target, how often checkpoints are saved, which worker it was, times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final

from ktrdr.audit.attempts import Attempt, contributing
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import JobSubmitted
from ktrdr.training.faults import dotted

Place = tuple[str | int, ...]


class _Missing(Enum):
    MISSING = "missing"


#: The value of what is not there: None is a value of its own.
MISSING: Final = _Missing.MISSING


class Kind(StrEnum):
    #: Prices and context series, by digest.
    DATA = "data"
    #: First and last moment of the data.
    DATES = "dates"
    #: The version of ktrdr.
    CODE = "code"
    STRATEGY = "strategy"
    #: The checkpoint of another training that this one goes on from with changes.
    ORIGIN = "origin"
    SEED = "seed"
    #: What the numeric libraries compute with.
    PROFILE = "profile"
    DEVICE = "device"
    #: How often it was tried, and where the tries went on.
    ATTEMPTS = "attempts"


class Reach(StrEnum):
    """How far a cause can reach: what stands further down differs with what stands further up."""

    #: The weights, bit for bit, and with them everything else.
    WEIGHTS = "weights"
    #: What is measured of equal weights.
    METRICS = "metrics"
    #: What the model's files say beside weights and metrics.
    FILES = "files"
    #: Nothing: a training that was interrupted gives the same bits as one that was not.
    NOTHING = "nothing"

    def covers(self, other: Reach) -> bool:
        """Whether a cause of this reach can be why something of the other one differs."""
        order = list(Reach)
        return order.index(self) <= order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that was not the same for both jobs."""

    kind: Kind
    place: Place
    #: The values for the two jobs; MISSING where one has none.
    a: Any
    b: Any
    reach: Reach

    @property
    def path(self) -> str:
        """`strategy.training.epochs`, `prices.AAPL.1h`, `numeric_profile.threads`."""
        return dotted(self.place)

    @property
    def can_be_set(self) -> bool:
        """Whether a job can be submitted that has the other one's value of this alone."""
        return self.kind in (Kind.DATA, Kind.DATES, Kind.STRATEGY) or self.place == ("seed",)


#: The parts of a strategy in the order in which they act; the first that a key begins with counts.
_STRATEGY_ORDER: tuple[Place, ...] = (
    ("training_data",), ("context_data",), ("indicators",), ("fuzzy_sets",), ("nn_inputs",), ("training", "labels"),
    ("training", "data_split"), ("model",), ("training",), ("decisions",),
)  # fmt: skip
_DATES: Place = ("training_data", "date_range")
_OWN_SEED: Place = ("training", "seed")


def causes(a: JobSubmitted, b: JobSubmitted, of_a: Sequence[Attempt], of_b: Sequence[Attempt]) -> tuple[Cause, ...]:
    """Every recorded difference that a result can depend on, in the order in which they act on it.

    `of_a` and `of_b` are all attempts of the jobs; those whose work is not in the result count for nothing but their
    number. A symbol that only one job has is told by the strategy's list of symbols, not by its prices too.
    """
    from_strategy = sorted(_strategy(a, b), key=lambda cause: rank(cause.place[1:]))
    dates = [cause for cause in from_strategy if cause.kind is Kind.DATES]
    seeds = [cause for cause in from_strategy if cause.kind is Kind.SEED]
    others = [cause for cause in from_strategy if cause.kind is Kind.STRATEGY]
    return (
        *_data(a, b),
        *dates,
        *_whole(Kind.CODE, "code_version", a.code_version, b.code_version),
        *others,
        *_whole(Kind.ORIGIN, "forked_from", a.forked_from, b.forked_from),
        *_whole(Kind.SEED, "seed", a.seed, b.seed),
        *seeds,
        *_environment(a, b, of_a, of_b),
    )


def differences(a: Any, b: Any, place: Place = ()) -> Iterator[tuple[Place, Any, Any]]:
    """Where two values of plain data differ, key by key; lists count as one value unless they hold as many objects."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys((*a, *b)):
            yield from differences(a.get(key, MISSING), b.get(key, MISSING), (*place, key))
    elif _are_alike(a, b):
        for number, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from differences(one, other, (*place, number))
    elif MISSING in (a, b) or dumps(a) != dumps(b):  # as text: True is no 1
        yield place, a, b


def _are_alike(a: Any, b: Any) -> bool:
    are_lists = isinstance(a, list | tuple) and isinstance(b, list | tuple)
    return are_lists and len(a) == len(b) and all(isinstance(one, Mapping) for one in (*a, *b))


def _whole(kind: Kind, name: str, a: Any, b: Any) -> Iterator[Cause]:
    if dumps(a) != dumps(b):
        yield Cause(kind=kind, place=(name,), a=a, b=b, reach=Reach.WEIGHTS)


def _parts(kind: Kind, name: str, a: Any, b: Any, reach: Reach = Reach.WEIGHTS) -> Iterator[Cause]:
    for place, value_a, value_b in differences(a, b, (name,)):
        yield Cause(kind=kind, place=place, a=value_a, b=value_b, reach=reach)


def _data(a: JobSubmitted, b: JobSubmitted) -> Iterator[Cause]:
    same_charts = set(a.timeframes) == set(b.timeframes)
    of_a, of_b = ({(one["symbol"], one["timeframe"]): one["digest"] for one in job.prices} for job in (a, b))
    for symbol, timeframe in dict.fromkeys((*of_a, *of_b)):
        key = (symbol, timeframe)
        in_both = key in of_a and key in of_b
        is_told_by_strategy = not same_charts or not (symbol in a.symbols and symbol in b.symbols)
        if in_both or not is_told_by_strategy:
            yield from _datum(("prices", symbol, timeframe), of_a.get(key, MISSING), of_b.get(key, MISSING))
    context_a, context_b = ({one["name"]: one["digest"] for one in job.context} for job in (a, b))
    for name in context_a:
        if name in context_b:
            yield from _datum(("context", name), context_a[name], context_b[name])


def _datum(place: Place, a: Any, b: Any) -> Iterator[Cause]:
    if a != b:
        yield Cause(kind=Kind.DATA, place=place, a=a, b=b, reach=Reach.WEIGHTS)


def _strategy(a: JobSubmitted, b: JobSubmitted) -> Iterator[Cause]:
    for key, value_a, value_b in differences(a.strategy, b.strategy):
        kind = Kind.DATES if key[:2] == _DATES else Kind.SEED if key == _OWN_SEED else Kind.STRATEGY
        yield Cause(kind=kind, place=("strategy", *key), a=value_a, b=value_b, reach=_reach(key))


def rank(key: Place) -> int:
    """Where in the order in which the parts of a strategy act one of its keys stands."""
    fitting = (number for number, part in enumerate(_STRATEGY_ORDER) if key[: len(part)] == part)
    return next(fitting, len(_STRATEGY_ORDER))


def _reach(key: Place) -> Reach:
    if rank(key) == len(_STRATEGY_ORDER):
        return Reach.FILES  # its name, and what it says of itself
    if key[0] == "decisions" and key[1:] != ("output_format",):
        return Reach.METRICS
    return Reach.WEIGHTS


def _environment(a: JobSubmitted, b: JobSubmitted, of_a: Sequence[Attempt], of_b: Sequence[Attempt]) -> Iterator[Cause]:
    """Of jobs that nobody has begun there is nothing to compare."""
    if not (of_a and of_b):
        return
    chain_a, chain_b = contributing(of_a), contributing(of_b)
    profile_a, profile_b = (together([one.claimed.numeric_profile for one in chain]) for chain in (chain_a, chain_b))
    yield from _parts(Kind.PROFILE, "numeric_profile", profile_a, profile_b)
    device_a, device_b = (
        together([device_of(one, submitted) for one in chain]) for chain, submitted in ((chain_a, a), (chain_b, b))
    )
    yield from _parts(Kind.DEVICE, "device", device_a, device_b)
    yield from _whole(Kind.ATTEMPTS, "starts_from", begins(a), begins(b))
    tries_a, tries_b = (
        {"count": len(attempts), "resumed_from": [one.resumed_from for one in attempts]} for attempts in (of_a, of_b)
    )
    yield from _parts(Kind.ATTEMPTS, "attempts", tries_a, tries_b, Reach.NOTHING)


def begins(submitted: JobSubmitted) -> Any:
    """The checkpoint of the same training by another job that this one begins with, if it does.

    Under which profile that one ran, this job's log does not say.
    """
    return None if submitted.starts_from == submitted.forked_from else submitted.starts_from


def device_of(attempt: Attempt, submitted: JobSubmitted) -> dict[str, Any]:
    """What of a device steers a training: how much memory is free does not."""
    capabilities = attempt.claimed.capabilities
    training = submitted.strategy.get("training", {})
    wanted, possible = training.get("batch_size"), capabilities.get("max_batch_size")
    is_cut = wanted is not None and possible is not None and possible < wanted
    return {
        "type": capabilities.get("device_type"),
        "name": capabilities.get("device"),
        "batch_size": possible if is_cut else None,
    }


def together(values: Sequence[Any]) -> Any:
    """The one value of several attempts, key by key; where they differ, the list of them."""
    if all(isinstance(value, Mapping) for value in values):
        keys = dict.fromkeys(key for value in values for key in value)
        return {key: together([value.get(key) for value in values]) for key in keys}
    distinct = list({dumps(value): value for value in values}.values())
    return distinct[0] if len(distinct) == 1 else distinct
