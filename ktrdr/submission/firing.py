"""The submission that a schedule makes at a moment: its window of data, its seed and its label filled in.

Imports jobs, the store and this package's own parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from ktrdr.clock import from_instant, to_instant
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import Instant, JobSubmitted, Target
from ktrdr.jobs.service.definition import Definition, Seed, WindowEnds
from ktrdr.jobs.service.schedule_decisions import definition_of, seed_of
from ktrdr.jobs.service.schedules import Schedule
from ktrdr.store.reader import PRICES, Dataset, Reader
from ktrdr.submission.preparing import prepare, resolve_strategy
from ktrdr.submission.request import TrainingRequest
from ktrdr.submission.stored_data import find_prices
from ktrdr.submission.strategies import StrategyCache
from ktrdr.training.faults import Fault, InvalidInputError

#: The label that each job of a schedule has.
LABEL = "schedule"


def submission_of(
    schedule: Schedule,
    due_at: Instant,
    *,
    idempotency_key: str | None = None,
    traceparent: str | None = None,
    default_target: Target,
    reader: Reader,
    cache: StrategyCache,
) -> JobSubmitted:
    """The event that submits the job of one firing, on the data of today.

    Raises UnknownScheduleError, and InvalidInputError with every fault: of the request, or that its window holds no
    data.
    """
    definition = definition_of(schedule)
    request = _request(schedule, definition, due_at)
    if definition.window is not None:
        request = _with_window(request, definition, from_instant(due_at), reader, cache)
    return prepare(
        request,
        # A repetition of a firing asks for the same, whatever its window is by now.
        sha256(f"{schedule.id} {dumps(schedule.definition)}".encode()).hexdigest(),
        idempotency_key,
        traceparent=traceparent,
        default_target=default_target,
        reader=reader,
        cache=cache,
    )


def _request(schedule: Schedule, definition: Definition, due_at: Instant) -> TrainingRequest:
    job = dict(definition.job)
    request = TrainingRequest(**job | {"target": Target(job["target"]) if job.get("target") else None})
    request = replace(request, labels={**request.labels, LABEL: schedule.name})
    return replace(request, seed=seed_of(schedule, due_at)) if definition.seed is Seed.FIRING else request


def _with_window(
    request: TrainingRequest, definition: Definition, due_at: datetime, reader: Reader, cache: StrategyCache
) -> TrainingRequest:
    assert definition.window is not None
    try:
        resolved = resolve_strategy(request, reader, cache)
        datasets = _datasets(resolved.symbols, resolved.timeframes, reader)
    except InvalidInputError:
        return request  # what is wrong with it is told together with everything else
    end = due_at
    if definition.window_ends is WindowEnds.LAST_BAR:
        end = min(due_at, *(_moment(dataset.last) for dataset in datasets))
    end -= definition.end_lag
    start = end - definition.window
    faults = [
        Fault(
            ("window",),
            f"from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC there are no {dataset.timeframe} prices of "
            f"{dataset.symbol}: they are from {dataset.first[:16]} to {dataset.last[:16]}",
            "import newer prices, or let the window end at the last bar (window_ends: last_bar)",
        )
        for dataset in datasets
        if _moment(dataset.last) < start or _moment(dataset.first) > end
    ]
    if faults:
        raise InvalidInputError(faults)
    return replace(request, start=to_instant(start), end=to_instant(end))


def _datasets(symbols: Sequence[str], timeframes: Sequence[str], reader: Reader) -> list[Dataset]:
    """The price data that the symbols mean today."""
    digests = {(one["symbol"], one["timeframe"], one["digest"]) for one in find_prices(symbols, timeframes, reader)}
    return [
        dataset
        for dataset in reader.datasets()
        if dataset.kind == PRICES and (dataset.symbol, dataset.timeframe, dataset.digest) in digests
    ]


def _moment(text: str) -> datetime:
    """When a bar opens."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
