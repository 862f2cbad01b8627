"""Counterfactual jobs over HTTP: a training once more, with one thing as it was in another one.

Imports the grammar, the audit and this package's own parts. What it has in common with a retry is in
`ktrdr.api.retries`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from ktrdr.api.context import Context
from ktrdr.api.retries import RunRequest, fork_faults, submit_again
from ktrdr.audit.causes import MISSING, Cause, Kind, causes
from ktrdr.jobs.events import JobId, JobSubmitted, Json, Relation
from ktrdr.jobs.identity import is_job_id
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.jobs.state import JobState
from ktrdr.submission.strategies import event_fields
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.parse import from_mapping
from ktrdr.training.timeframes import source_of


class CounterfactualRequest(RunRequest):
    """What shall be as in another job."""

    of: str = Field(max_length=64, description="The id of the other job.")
    cause: str = Field(
        max_length=500,
        description="The path of a cause, as `GET /audit/why-differ` gives it: `strategy.training.epochs`, "
        "`prices.AAPL.1h`, `seed`; or the beginning of several: `strategy.training`.",
    )


#: What no submission can ask for, by how its path begins → what can be done instead.
_NOT_ASKED_FOR = {
    "code_version": "install that version of ktrdr and retry the job",
    "numeric_profile": "start a worker in such an environment and retry the job",
    "device": "start a worker with that device and retry the job",
    "attempts": "retry the job; how often it is interrupted does not change its result",
    "starts_from": "retry the job from its checkpoint",
    "forked_from": "fork the job that it was forked from",
}


async def counterfactual(request: Request) -> Response:
    """Submits a job once more with another job's value of one cause, to see what that cause does to the result.

    Everything else, the prices too, is as in the job in the path.
    """

    return await submit_again(request, CounterfactualRequest, make_counterfactual, needs_body=True)


def make_counterfactual(
    context: Context, _parent: JobState, submitted: JobSubmitted, asked: CounterfactualRequest
) -> JobSubmitted:
    """The job once more with what is asked of the other one. Raises UnknownJobError and InvalidInputError."""
    if not is_job_id(asked.of):
        raise UnknownJobError(asked.of)
    other = context.reader.submission(JobId(asked.of))
    changed = with_causes(submitted, other, chosen_causes(submitted, other, asked.cause))
    return replace(changed, relation=Relation.COUNTERFACTUAL, starts_from=submitted.forked_from)


def chosen_causes(a: JobSubmitted, b: JobSubmitted, path: str) -> list[Cause]:
    """The differences between two submissions that a path names. Raises InvalidInputError if it cannot be set."""
    word = path.partition(".")[0].partition("[")[0]
    if word in _NOT_ASKED_FOR:
        raise _wrong(f"{path} is nothing that a submission can ask for", _NOT_ASKED_FOR[word])
    found = [cause for cause in causes(a, b, (), ()) if cause.can_be_set]
    chosen = [cause for cause in found if cause.path == path or cause.path.startswith((f"{path}.", f"{path}["))]
    if not chosen:
        known = ", ".join(cause.path for cause in found)[:1000]
        raise _wrong(
            f"the jobs do not differ in {path!r}",
            f"what differs and can be set: {known}" if known else "nothing that can be set differs",
        )
    return chosen


def with_causes(a: JobSubmitted, b: JobSubmitted, chosen: Sequence[Cause]) -> JobSubmitted:
    """The submission of `a` with the values of `b` for these causes. Raises InvalidInputError."""
    changed = a
    of_strategy = [cause for cause in chosen if cause.kind in (Kind.STRATEGY, Kind.DATES)]
    if of_strategy:
        mapping = copy.deepcopy(dict(a.strategy))
        for cause in of_strategy:
            _put(mapping, cause)
        changed = _with_strategy(a, b, mapping)
    for cause in chosen:
        match cause.place:
            case ("seed",):
                changed = replace(changed, seed=b.seed)
            case ("prices", symbol, timeframe):
                changed = replace(changed, prices=_set(changed.prices, cause.b, symbol=symbol, timeframe=timeframe))
            case ("context", name):
                changed = replace(changed, context=_set(changed.context, cause.b, name=name))
    return changed


def _put(mapping: dict[str, Any], cause: Cause) -> None:
    """Sets the value of B at the place of a cause within a strategy."""
    _, *path, last = cause.place
    around: Any = mapping
    for part in path:
        around = around[part]
    if cause.b is MISSING:
        del around[last]
    else:
        around[last] = copy.deepcopy(cause.b)


def _with_strategy(a: JobSubmitted, b: JobSubmitted, mapping: Mapping[str, Any]) -> JobSubmitted:
    """`a` with another strategy, and the data that it needs: that of `a`, and of `b` what `a` does not have."""
    before = from_mapping(a.strategy).strategy
    try:
        # Resolved strategies have no warnings, so each of them is about a value that alone has no effect.
        after = from_mapping(mapping, strict=True).strategy
    except InvalidInputError as error:
        raise InvalidInputError(_within_strategy(error.faults)) from None
    if a.forked_from is not None and (faults := fork_faults(before, after, a.forked_from["epoch"])):
        raise InvalidInputError(_within_strategy(faults))
    fields = event_fields(after)
    if (after.data.symbols, after.data.timeframes) != (before.data.symbols, before.data.timeframes):
        fields["prices"] = _prices(after, a, b)
    if after.context != before.context:
        fields["context"] = _context(before, after, a, b)
    return replace(a, **fields)


def _prices(strategy: Strategy, a: JobSubmitted, b: JobSubmitted) -> tuple[Json, ...]:
    found: dict[tuple[str, str], Json] = {}
    for timeframe in strategy.data.timeframes:
        for symbol in strategy.data.symbols:
            for job in (a, b):
                known = {one["timeframe"]: one for one in job.prices if one["symbol"] == symbol}
                source = source_of(timeframe, known)
                if source is not None:
                    found[symbol, source] = known[source]
                    break
            else:
                raise _wrong(f"neither job has {timeframe} prices of {symbol}", "submit a new job")
    return tuple(found.values())


def _context(before: Strategy, after: Strategy, a: JobSubmitted, b: JobSubmitted) -> tuple[Json, ...]:
    of_a, of_b = ({one["name"]: one for one in job.context} for job in (a, b))
    found = []
    for name, declared in after.context.items():
        first, second = (of_a, of_b) if before.context.get(name) == declared else (of_b, of_a)
        reference = first.get(name) or second.get(name)
        if reference is None:
            raise _wrong(f"neither job has data of the context series {name}", "submit a new job")
        found.append(reference)
    return tuple(found)


def _set(references: Sequence[Json], digest: Any, **names: Any) -> tuple[Json, ...]:
    """The references with another digest for one of them, which may be new or be left out."""
    others = [one for one in references if any(one[name] != value for name, value in names.items())]
    if digest is MISSING:
        return tuple(others)
    place = next((at for at, one in enumerate(references) if one not in others), len(others))
    others.insert(place, {**names, "digest": digest})
    return tuple(others)


def _within_strategy(faults: Iterable[Fault]) -> list[Fault]:
    return [Fault(("strategy", *fault.path), fault.problem, fault.fix) for fault in faults]


def _wrong(problem: str, fix: str) -> InvalidInputError:
    return InvalidInputError([Fault(("cause",), problem, fix)])
