"""Which of the stored data the names in a strategy mean today. Imports the grammar and the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ktrdr.store.reader import PRICES, VALUES, Reader
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.model import ContextSeries, Strategy
from ktrdr.training.timeframes import sources

#: Data by digest: `{symbol, timeframe, digest}` or `{name, digest}` each.
References = tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReadSeries:
    """A context series of a strategy."""

    declared: ContextSeries
    #: An indicator that is computed on it.
    indicator: str


def find_prices(symbols: Sequence[str], timeframes: Sequence[str], reader: Reader) -> References:
    """The price data that the symbols mean today, shorter bars where a timeframe has none of its own.

    Raises InvalidInputError for those without any.
    """
    digests = reader.digests(symbols)
    found: dict[tuple[str, str], str] = {}
    faults = []
    for timeframe in timeframes:
        for number, symbol in enumerate(symbols):
            for source in (timeframe, *sources(timeframe)):
                digest = digests.get((PRICES, symbol, source))
                if digest is not None:
                    found[symbol, source] = digest
                    break
            else:
                known = ", ".join(f"{d.symbol} {d.timeframe}" for d in reader.datasets() if d.kind == PRICES)
                faults.append(
                    Fault(
                        ("symbols", number),
                        f"there are no {timeframe} prices of {symbol!r}",
                        f"import them with: ktrdr data import FILE --symbol {symbol}; "
                        f"imported so far: {known[:500] or 'none yet'}",
                    )
                )
    if faults:
        raise InvalidInputError(faults)
    return tuple({"symbol": of[0], "timeframe": of[1], "digest": digest} for of, digest in found.items())


def context_of_strategy(strategy: Strategy) -> tuple[ReadSeries, ...]:
    """The context series of a strategy, each with an indicator that reads it."""
    readers = {indicator.data_source: indicator.id for indicator in strategy.indicators.values()}
    return tuple(ReadSeries(declared, readers[name]) for name, declared in strategy.context.items())


def find_context(context: Sequence[ReadSeries], reader: Reader) -> References:
    """The data that the context series mean today. Raises InvalidInputError for those that were not imported."""
    digests = reader.digests([one.declared.name for one in context]) if context else {}
    found, faults = [], []
    for one in context:
        name, frequency = one.declared.name, one.declared.frequency
        kind = PRICES if one.declared.kind == "symbol" else VALUES
        digest = digests.get((kind, name, frequency))
        if digest is not None:
            found.append({"name": name, "digest": digest})
            continue
        others = sorted(timeframe for of, symbol, timeframe in digests if (of, symbol) == (kind, name))
        what = f"the context series {name!r} has not been imported with the frequency {frequency}"
        command = f"--symbol {name}" if kind == PRICES else f"--series {name} --frequency {frequency}"
        known = f"; imported are: {', '.join(others)}" if others else ""
        path = ("strategy", "indicators", one.indicator, "data_source")
        faults.append(Fault(path, what, f"import it with: ktrdr data import FILE {command}{known}"))
    if faults:
        raise InvalidInputError(faults)
    return tuple(found)


def find_data(
    symbols: Sequence[str], timeframes: Sequence[str], context: Sequence[ReadSeries], reader: Reader
) -> tuple[References, References]:
    """Prices and context series. Raises InvalidInputError with everything of both that is missing."""
    faults: list[Fault] = []
    prices: References = ()
    series: References = ()
    try:
        prices = find_prices(symbols, timeframes, reader)
    except InvalidInputError as error:
        faults += error.faults
    try:
        series = find_context(context, reader)
    except InvalidInputError as error:
        faults += error.faults
    if faults:
        raise InvalidInputError(faults)
    return prices, series
