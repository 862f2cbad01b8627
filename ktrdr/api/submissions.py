"""From a request to the event that begins a job: the strategy resolved, every name looked up, every fault told.

Imports the grammar, jobs and the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from ktrdr import __version__, sample
from ktrdr.api.requests import Body
from ktrdr.api.stored_data import ReadSeries, context_of_strategy, find_data
from ktrdr.clock import to_instant
from ktrdr.jobs.canonical import Encoded, dumps
from ktrdr.jobs.events import Instant, JobSubmitted, Target
from ktrdr.store.reader import Reader
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.findings import nearest
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.parse import from_mapping, parse, to_mapping

Label = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\s=,]+$")]


def _text_or_object(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise ValueError("a strategy is text or an object")
    return value


#: Said in one sentence, where a union would give one fault for each of its types.
StrategySource = Annotated[str | dict[str, Any], BeforeValidator(_text_or_object)]


class JobRequest(Body):
    """A training to be done."""

    strategy: StrategySource = Field(
        description="The strategy file as YAML or JSON text, or as an object, or the name of a stored or sample one."
    )
    symbols: list[str] | None = Field(None, max_length=1000, description="In place of the file's.")
    timeframes: list[str] | None = Field(None, max_length=10, description="In place of the file's.")
    start: str | None = Field(None, description="First moment of the data, in place of the file's.")
    end: str | None = Field(None, description="Last moment; a bare date means to the end of that day.")
    seed: int | None = Field(
        None, ge=0, lt=2**53, description="In place of the file's; without either 0. Equal seeds give equal models."
    )
    target: Target | None = Field(None, strict=False, description="Which workers may run it.")
    require_gpu: bool = Field(False, description="Fail rather than run without a GPU.")
    prefer_gpu: bool = Field(False, description="Run on a GPU if one is free, else without, and say why.")
    priority: int = Field(0, ge=-1000, le=1000, description="Higher runs first.")
    labels: dict[Label, Label] = Field(default_factory=dict, max_length=32)
    max_attempts: int = Field(3, ge=1, le=100, description="Tries before the job counts as failed.")
    strict: bool = Field(False, description="Count warnings of the strategy file as faults.")
    checkpoint_every_epochs: int | None = Field(None, ge=1, description="Save a checkpoint after so many epochs.")
    checkpoint_every_seconds: float | None = Field(
        30, gt=0, le=86_400, description="Save one at the first end of an epoch after so long; null for never."
    )


@dataclass(frozen=True, slots=True)
class Resolved:
    """A strategy as a job carries it."""

    #: Of JobSubmitted.
    fields: Mapping[str, Any]
    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    warnings: tuple[str, ...]
    #: The file's own.
    seed: int | None
    context: tuple[ReadSeries, ...]


class StrategyCache:
    """Strategies resolved before, so that one submitted again with the same values is not parsed again."""

    def __init__(self, largest: int = 256) -> None:
        self._largest = largest
        self._resolved: OrderedDict[object, Resolved] = OrderedDict()

    def resolve(self, source: str | Mapping[str, Any], request: JobRequest) -> Resolved:
        """The strategy with the request's values applied. Raises InvalidInputError with every fault."""
        changes = {
            "symbols": request.symbols, "timeframes": request.timeframes, "start": request.start, "end": request.end,
            "strict": request.strict,
        }  # fmt: skip
        key = (source if isinstance(source, str) else dumps(source), *(_hashable(value) for value in changes.values()))
        found = self._resolved.get(key)
        if found is None:
            found = self._resolved[key] = _resolve(source, changes)
            if len(self._resolved) > self._largest:
                self._resolved.popitem(last=False)
        else:
            self._resolved.move_to_end(key)
        return found


def prepare(
    request: JobRequest,
    request_digest: str,
    idempotency_key: str | None,
    *,
    default_target: Target,
    reader: Reader,
    cache: StrategyCache,
) -> JobSubmitted:
    """The event that submits the job. Raises InvalidInputError with every fault of the request."""
    faults = _contradictions(request)
    try:
        resolved = _resolve_strategy(request, reader, cache)
        prices, context = find_data(resolved.symbols, resolved.timeframes, resolved.context, reader)
    except InvalidInputError as error:
        raise InvalidInputError([*faults, *error.faults]) from None
    if faults:
        raise InvalidInputError(faults)
    return JobSubmitted(
        **resolved.fields,
        prices=prices,
        context=context,
        seed=next(seed for seed in (request.seed, resolved.seed, 0) if seed is not None),
        target=request.target or reader.default_target() or default_target,
        require_gpu=request.require_gpu,
        prefer_gpu=request.prefer_gpu,
        priority=request.priority,
        share=reader.rules().share_of(request.labels),
        labels=request.labels,
        max_attempts=request.max_attempts,
        checkpoints={
            "every_epochs": request.checkpoint_every_epochs,
            "every_seconds": request.checkpoint_every_seconds,
        },
        parent=None,
        relation=None,
        starts_from=None,
        forked_from=None,
        warnings=resolved.warnings,
        idempotency_key=idempotency_key,
        request_digest=request_digest,
        code_version=__version__,
    )


def _contradictions(request: JobRequest) -> list[Fault]:
    """What each field allows, but not together with another."""
    if request.require_gpu and request.prefer_gpu:
        return [Fault(("prefer_gpu",), "a job that requires a GPU cannot do without one", "give one of the two")]
    return []


def _resolve_strategy(request: JobRequest, reader: Reader, cache: StrategyCache) -> Resolved:
    try:
        return cache.resolve(strategy_source(request.strategy, reader), request)
    except ValueError as error:  # plain data that canonical JSON cannot hold
        raise InvalidInputError([Fault(("strategy",), str(error))]) from None
    except InvalidInputError as error:
        raise InvalidInputError([_within_strategy(fault) for fault in error.faults]) from None


def strategy_source(given: str | Mapping[str, Any], reader: Reader) -> str | Mapping[str, Any]:
    """The strategy itself, where the request gives the name of a stored or sample one."""
    if not isinstance(given, str) or "\n" in given or ":" in given or "{" in given:
        return given
    samples = sample.strategies()
    source = reader.strategy_source(given) or samples.get(given)
    if source is None:
        known = sorted({*reader.strategy_names(), *samples})
        fix = f"the nearest is {nearest(given[:80], known)!r}; there are: {', '.join(known)[:500]}"
        raise InvalidInputError([Fault((), f"there is no strategy {given[:80]!r}", fix)])
    return source


def _resolve(source: str | Mapping[str, Any], changes: Mapping[str, Any]) -> Resolved:
    parsed = parse(source, **changes) if isinstance(source, str) else from_mapping(source, **changes)
    strategy = parsed.strategy
    return Resolved(
        fields=event_fields(strategy),
        symbols=strategy.data.symbols,
        timeframes=strategy.data.timeframes,
        warnings=tuple(map(str, parsed.warnings)),
        seed=strategy.training.seed,
        context=context_of_strategy(strategy),
    )


def event_fields(strategy: Strategy) -> dict[str, Any]:
    """The fields of JobSubmitted that a strategy gives."""
    # A job has one seed, and says it itself.
    seedless = replace(strategy, training=replace(strategy.training, seed=None))
    return {
        "name": strategy.name,
        "strategy": Encoded(to_mapping(seedless)),
        "symbols": strategy.data.symbols,
        "timeframes": strategy.data.timeframes,
        "start": _instant(strategy.data.start),
        "end": _instant(strategy.data.end),
    }


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _instant(moment: datetime | None) -> Instant | None:
    return to_instant(moment) if moment else None


def _within_strategy(fault: Fault) -> Fault:
    if fault.path and fault.path[0] in ("symbols", "timeframes", "start", "end"):
        return fault  # of the request's own values
    return Fault(("strategy", *fault.path), fault.problem, fault.fix)
