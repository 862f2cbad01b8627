"""From a request to the event that begins a job: the strategy resolved, every name looked up, every fault told.

Imports the grammar, jobs and the store.
"""

from __future__ import annotations

from ktrdr import __version__
from ktrdr.jobs.events import JobSubmitted, Target
from ktrdr.store.reader import Reader
from ktrdr.submission.request import TrainingRequest
from ktrdr.submission.stored_data import find_data
from ktrdr.submission.strategies import Resolved, StrategyCache, strategy_source
from ktrdr.training.faults import Fault, InvalidInputError


def prepare(
    request: TrainingRequest,
    request_digest: str,
    idempotency_key: str | None,
    *,
    traceparent: str | None = None,
    default_target: Target,
    reader: Reader,
    cache: StrategyCache,
) -> JobSubmitted:
    """The event that submits the job. Raises InvalidInputError with every fault of the request."""
    faults = _contradictions(request)
    try:
        resolved = resolve_strategy(request, reader, cache)
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
        traceparent=traceparent,
    )


def _contradictions(request: TrainingRequest) -> list[Fault]:
    """What each field allows, but not together with another."""
    if request.require_gpu and request.prefer_gpu:
        return [Fault(("prefer_gpu",), "a job that requires a GPU cannot do without one", "give one of the two")]
    return []


def resolve_strategy(request: TrainingRequest, reader: Reader, cache: StrategyCache) -> Resolved:
    """The strategy that a request names, with the request's values. Raises InvalidInputError with every fault."""
    try:
        return cache.resolve(strategy_source(request.strategy, reader), request)
    except ValueError as error:  # plain data that canonical JSON cannot hold
        raise InvalidInputError([Fault(("strategy",), str(error))]) from None
    except InvalidInputError as error:
        raise InvalidInputError([_within_strategy(fault) for fault in error.faults]) from None


def _within_strategy(fault: Fault) -> Fault:
    if fault.path and fault.path[0] in ("symbols", "timeframes", "start", "end"):
        return fault  # of the request's own values
    return Fault(("strategy", *fault.path), fault.problem, fault.fix, fault.at)
