"""The strategy of a submission: found by its name, resolved with the values of the request, and kept for the next one.

Imports the grammar, jobs and the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ktrdr import sample
from ktrdr.clock import to_instant
from ktrdr.jobs.canonical import Encoded, dumps
from ktrdr.jobs.events import Instant
from ktrdr.store.reader import Reader
from ktrdr.submission.request import TrainingRequest
from ktrdr.submission.stored_data import ReadSeries, context_of_strategy
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.findings import nearest
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.parse import from_mapping, parse, to_mapping


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

    def resolve(self, source: str | Mapping[str, Any], request: TrainingRequest) -> Resolved:
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
