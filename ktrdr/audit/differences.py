"""Why the result of one job differs from that of another: causes, where it first shows, what the metrics make of it.

Imports jobs. Pure: from two histories to the answer. A history holds the events of one job, oldest first; batch
progress may be left out of it, and what was pruned is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ktrdr.audit.attempts import Attempt, attempts_of, contributing, epochs_of
from ktrdr.audit.causes import MISSING, Cause, Place, Reach, causes, differences
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import EpochFinished, JobCompleted, JobId, JobSubmitted, Recorded
from ktrdr.jobs.state import Status, fold
from ktrdr.training.faults import dotted

#: Facts of a stage that are told: the first ones say where it begins.
MOST_FACTS = 20
#: Parts of the metrics that are no measure of the model.
_NO_METRICS = ("importance", "warnings")


class Conclusion(StrEnum):
    #: Nothing differs that a result depends on, and the results are equal bit for bit.
    SAME = "same"
    #: Something differs, but the results are equal bit for bit.
    EQUAL = "equal"
    #: The results differ, and something that differs can be why.
    EXPLAINED = "explained"
    #: The results differ although nothing that was recorded can be why.
    UNEXPLAINED = "unexplained"
    #: One of the jobs has no model, and as far as both went they are equal.
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactDifference:
    path: str
    #: MISSING where a job has no such fact.
    a: Any
    b: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDifference:
    """The first stage whose facts differ."""

    name: str
    number: int
    facts: tuple[FactDifference, ...]
    #: Facts beyond `MOST_FACTS`.
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochDifference:
    """The first epoch after which the weights differ."""

    epoch: int
    #: Weights digests.
    a: str
    b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    #: None = all symbols together.
    symbol: str | None
    metric: str
    a: float | None
    b: float | None

    @property
    def difference(self) -> float | None:
        """How much more B has."""
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    a: JobId
    b: JobId
    status_a: Status
    status_b: Status
    causes: tuple[Cause, ...]
    stage: StageDifference | None
    #: Epochs that both histories hold.
    epochs_compared: int
    epoch: EpochDifference | None
    #: Every metric of the test part that both have or one of them has, equal ones too.
    metrics: tuple[MetricDifference, ...]
    #: What of the results differs; None if nothing does as far as both went.
    differs: Reach | None
    conclusion: Conclusion
    #: What could not be compared, one sentence each.
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        return _sentence(self)


def compare(a: Sequence[Recorded], b: Sequence[Recorded]) -> Comparison:
    """Compares two jobs by their histories, each of which begins with its JobSubmitted."""
    (submitted_a, end_a, attempts_a), (submitted_b, end_b, attempts_b) = _parts(a), _parts(b)
    state_a, state_b = fold(a), fold(b)
    chain_a, chain_b = contributing(attempts_a), contributing(attempts_b)
    epochs_a, epochs_b = epochs_of(chain_a), epochs_of(chain_b)
    found = causes(submitted_a, submitted_b, attempts_a, attempts_b)
    epoch = _first_epoch(epochs_a, epochs_b)
    differs = _observed(end_a, end_b, epoch)
    return Comparison(
        a=state_a.job_id,
        b=state_b.job_id,
        status_a=state_a.status,
        status_b=state_b.status,
        causes=found,
        stage=_first_stage(chain_a, chain_b),
        epochs_compared=len(epochs_a.keys() & epochs_b.keys()),
        epoch=epoch,
        metrics=tuple(_metrics(end_a, end_b)) if end_a and end_b else (),
        differs=differs,
        conclusion=_conclude(found, differs, are_over=end_a is not None and end_b is not None),
        notes=tuple(_notes("A", end_a, epochs_a, state_a.status)) + tuple(_notes("B", end_b, epochs_b, state_b.status)),
    )


def _parts(history: Sequence[Recorded]) -> tuple[JobSubmitted, JobCompleted | None, list[Attempt]]:
    submitted, last = history[0].event, history[-1].event
    assert isinstance(submitted, JobSubmitted)
    return submitted, last if isinstance(last, JobCompleted) else None, attempts_of(history)


def _first_stage(a: Sequence[Attempt], b: Sequence[Attempt]) -> StageDifference | None:
    """Of the stages that both have finished; the last attempt has walked all of them."""
    if not (a and b):
        return None
    of_a, of_b = a[-1].stages, b[-1].stages
    for stage in sorted(of_a.values(), key=lambda stage: stage.number):
        if stage.name not in of_b:
            continue
        facts = [
            FactDifference(path=dotted(place), a=value_a, b=value_b)
            for place, value_a, value_b in differences(stage.facts, of_b[stage.name].facts)
        ]
        if facts:
            left_out = max(0, len(facts) - MOST_FACTS)
            return StageDifference(
                name=stage.name, number=stage.number, facts=tuple(facts[:MOST_FACTS]), left_out=left_out
            )
    return None


def _first_epoch(a: Mapping[int, EpochFinished], b: Mapping[int, EpochFinished]) -> EpochDifference | None:
    for number in sorted(a.keys() & b.keys()):
        if a[number].weights_digest != b[number].weights_digest:
            return EpochDifference(epoch=number, a=a[number].weights_digest, b=b[number].weights_digest)
    return None


def _observed(a: JobCompleted | None, b: JobCompleted | None, epoch: EpochDifference | None) -> Reach | None:
    if epoch is not None or (a and b and a.weights_digest != b.weights_digest):
        return Reach.WEIGHTS
    if a is None or b is None:
        return None
    if dumps([a.metrics, a.symbol_metrics]) != dumps([b.metrics, b.symbol_metrics]):
        return Reach.METRICS
    return Reach.FILES if a.model_digest != b.model_digest else None


def _conclude(found: Sequence[Cause], differs: Reach | None, *, are_over: bool) -> Conclusion:
    if differs is not None:
        explained = any(cause.reach.covers(differs) for cause in found)
        return Conclusion.EXPLAINED if explained else Conclusion.UNEXPLAINED
    if not are_over:
        return Conclusion.OPEN
    return Conclusion.EQUAL if found else Conclusion.SAME


def _metrics(a: JobCompleted, b: JobCompleted) -> Iterator[MetricDifference]:
    symbols = dict.fromkeys((*a.symbol_metrics, *b.symbol_metrics))
    parts = [
        (None, a.metrics, b.metrics),
        *((symbol, a.symbol_metrics.get(symbol, {}), b.symbol_metrics.get(symbol, {})) for symbol in symbols),
    ]
    for symbol, of_a, of_b in parts:
        numbers_a, numbers_b = dict(numbers_in(of_a)), dict(numbers_in(of_b))
        for place in dict.fromkeys((*numbers_a, *numbers_b)):
            yield MetricDifference(symbol=symbol, metric=dotted(place), a=numbers_a.get(place), b=numbers_b.get(place))


def numbers_in(metrics: Mapping[str, Any], place: Place = ()) -> Iterator[tuple[Place, float]]:
    """Every number that measures a model, with its place in the metrics."""
    for name, value in metrics.items():
        if name in _NO_METRICS:
            continue
        if isinstance(value, Mapping):
            yield from numbers_in(value, (*place, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*place, name), value


def _notes(which: str, end: JobCompleted | None, epochs: Mapping[int, EpochFinished], status: Status) -> Iterator[str]:
    if end is None:
        yield f"{which} is {status}: it has no model to compare"
    elif not epochs:
        yield f"the log does not hold the epochs of {which} any more: they were pruned"
    elif min(epochs) > 1:
        yield f"the epochs up to {min(epochs) - 1} of {which} were trained by the job that it goes on from"


def _sentence(comparison: Comparison) -> str:
    able = sum(1 for cause in comparison.causes if comparison.differs and cause.reach.covers(comparison.differs))
    number = "one difference" if len(comparison.causes) == 1 else f"{len(comparison.causes)} differences"
    all_or_some = "and that can be why" if number == "one difference" else f"of which {able} can be why"
    match comparison.conclusion:
        case Conclusion.SAME:
            return "the same training; equal bits"
        case Conclusion.EQUAL:
            return f"{number}, and equal bits all the same"
        case Conclusion.OPEN:
            as_far = f", equal as far as both went ({_epochs(comparison)})" if comparison.epochs_compared else ""
            return f"{number if comparison.causes else 'nothing differs'}; not both have a model{as_far}"
        case Conclusion.EXPLAINED:
            return f"{_what(comparison)}; {number}, {all_or_some}"
        case Conclusion.UNEXPLAINED:
            return f"{_what(comparison)}, although nothing that was recorded can be why: this is a finding"


def _what(comparison: Comparison) -> str:
    """What of the results differs, in words."""
    match comparison.differs:
        case Reach.METRICS:
            return "the weights are equal, the metrics differ"
        case Reach.FILES:
            return "weights and metrics are equal, what else the model's files say differs"
    if comparison.epoch:
        return f"the weights differ from epoch {comparison.epoch.epoch} on"
    as_far = f", though not in what both histories hold ({_epochs(comparison)})" if comparison.epochs_compared else ""
    return f"the weights differ{as_far}"


def _epochs(comparison: Comparison) -> str:
    return "one epoch" if comparison.epochs_compared == 1 else f"{comparison.epochs_compared} epochs"


def document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain JSON data; what a job does not have is left out."""

    def values(a: Any, b: Any) -> dict[str, Any]:
        return {name: value for name, value in (("a", a), ("b", b)) if value is not MISSING}

    stage, epoch = comparison.stage, comparison.epoch
    return {
        "a": {"id": comparison.a, "status": comparison.status_a},
        "b": {"id": comparison.b, "status": comparison.status_b},
        "conclusion": comparison.conclusion,
        "sentence": comparison.sentence,
        "differs": comparison.differs,
        "causes": [
            {
                "kind": cause.kind,
                "path": cause.path,
                "reach": cause.reach,
                "can_be_set": cause.can_be_set,
                **values(cause.a, cause.b),
            }
            for cause in comparison.causes
        ],
        "first_stage": stage
        and {
            "name": stage.name,
            "number": stage.number,
            "facts": [{"path": fact.path, **values(fact.a, fact.b)} for fact in stage.facts],
            "left_out": stage.left_out,
        },
        "epochs_compared": comparison.epochs_compared,
        "first_epoch": epoch and {"epoch": epoch.epoch, "a": epoch.a, "b": epoch.b},
        "metrics": [
            {"symbol": one.symbol, "metric": one.metric, "a": one.a, "b": one.b, "difference": one.difference}
            for one in comparison.metrics
        ],
        "notes": list(comparison.notes),
    }
