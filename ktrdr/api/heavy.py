"""What needs pandas or torch: reading price files and predicting. Called through `ktrdr.api.compute` only.

Imports them inside the functions, because the API imports this module to name the functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktrdr.files import Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSeries:
    symbol: str
    timeframe: str
    digest: str
    rows: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class ImportedFile:
    series: tuple[ImportedSeries, ...]
    #: What was understood or changed on the way, for people.
    notes: tuple[str, ...]


def import_prices(
    data: bytes,
    folder: Path,
    *,
    filename: str,
    symbol: str | None,
    timeframe: str | None,
    timezone: str,
    date_format: str | None,
    adjust: bool,
) -> ImportedFile:
    """Reads a price file and stores its series under their digests. Raises InvalidInputError, storing nothing."""
    from ktrdr.training.price_import import check_timeframe, read_prices
    from ktrdr.training.prices import to_bytes

    read = read_prices(
        data, filename=filename, symbol=symbol, timezone=timezone, date_format=date_format, adjust=adjust
    )
    timeframes = {name: check_timeframe(frame, timeframe) for name, frame in read.frames.items()}
    prices = Prices(folder)
    series = tuple(
        ImportedSeries(
            symbol=name,
            timeframe=timeframes[name],
            digest=prices.add(to_bytes(frame)),
            rows=len(frame),
            first=frame.index[0].isoformat(),
            last=frame.index[-1].isoformat(),
        )
        for name, frame in read.frames.items()
    )
    return ImportedFile(series, tuple(read.notes))


def predict(model: Path, prices: Path, digest: str, last: int) -> list[dict[str, Any]]:
    """The newest `last` predictions of a saved model over stored prices, oldest first."""
    from ktrdr.training.prices import read

    return _predict(model, read(prices, digest), last)


def predict_bars(model: Path, bars: list[dict[str, Any]], last: int) -> list[dict[str, Any]]:
    """The same over bars that the client sent. Raises InvalidInputError if they are no price data."""
    import pandas as pd

    from ktrdr.training.faults import Fault, InvalidInputError
    from ktrdr.training.prices import COLUMNS, validate

    frame = pd.DataFrame(bars)
    try:
        frame.index = pd.DatetimeIndex(pd.to_datetime(frame.pop("time"), utc=True, format="ISO8601"), name="time")
    except ValueError as error:
        raise InvalidInputError([Fault(("bars",), f"a time is not understood: {error}", "write 2024-05-31")]) from None
    frame = frame[list(COLUMNS)].astype("float64")
    validate(frame)
    return _predict(model, frame, last)


def _predict(model: Path, frame: Any, last: int) -> list[dict[str, Any]]:
    from ktrdr.training.saved_model import load

    predictions = load(model).predict(frame).tail(last)
    predictions.insert(0, "time", [moment.isoformat() for moment in predictions.index])
    return [{str(name): value for name, value in row.items()} for row in predictions.to_dict("records")]
