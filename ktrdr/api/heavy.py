"""What needs pandas, torch or TA-Lib: reading files, predicting, summaries. Called through `ktrdr.api.compute` only.

Imports them inside the functions, because the API imports this module to name the functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktrdr.files import Prices

if TYPE_CHECKING:
    from ktrdr.training.strategy.model import Strategy
    from ktrdr.training.strategy.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSeries:
    kind: str
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
        _imported("prices", name, timeframes[name], prices.add(to_bytes(frame)), frame)
        for name, frame in read.frames.items()
    )
    return ImportedFile(series, tuple(read.notes))


def import_series(
    data: bytes,
    folder: Path,
    *,
    name: str,
    frequency: str,
    column: str | None,
    timezone: str,
    date_format: str | None,
) -> ImportedFile:
    """Reads a file of values and stores them under their digest. Raises InvalidInputError, storing nothing."""
    from ktrdr.training.series import to_bytes
    from ktrdr.training.series_import import read_series

    read = read_series(data, name=name, frequency=frequency, column=column, timezone=timezone, date_format=date_format)
    digest = Prices(folder).add(to_bytes(read.frame))
    return ImportedFile((_imported("values", name, read.frequency, digest, read.frame),), tuple(read.notes))


def _imported(kind: str, name: str, timeframe: str, digest: str, frame: Any) -> ImportedSeries:
    return ImportedSeries(
        kind=kind,
        symbol=name,
        timeframe=timeframe,
        digest=digest,
        rows=len(frame),
        first=frame.index[0].isoformat(),
        last=frame.index[-1].isoformat(),
    )


#: Name (a timeframe, or that of a context series) → file and digest.
StoredFiles = Mapping[str, tuple[Path, str]]


def predict(model: Path, prices: StoredFiles, context: StoredFiles, last: int) -> list[dict[str, Any]]:
    """The newest `last` predictions of a saved model over stored prices by timeframe, oldest first."""
    from ktrdr.training.prices import read

    return _predict(
        model, {timeframe: read(path, digest) for timeframe, (path, digest) in prices.items()}, context, last
    )


def predict_bars(model: Path, bars: list[dict[str, Any]], context: StoredFiles, last: int) -> list[dict[str, Any]]:
    """The same over bars of the base timeframe that the client sent. Raises InvalidInputError if they are no prices."""
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
    return _predict(model, frame, context, last)


def _predict(model: Path, frames: Any, context: StoredFiles, last: int) -> list[dict[str, Any]]:
    from ktrdr.training.saved_model import load
    from ktrdr.training.series import read

    loaded = load(model)
    series = {name: read(path, loaded.strategy.context[name].kind, digest) for name, (path, digest) in context.items()}
    predictions = loaded.predict(frames, series).tail(last)
    predictions.insert(0, "time", [moment.isoformat() for moment in predictions.index])
    return [{str(name): value for name, value in row.items()} for row in predictions.to_dict("records")]


def explain(model: Path, prices: StoredFiles, context: StoredFiles, at: str | None, last: int) -> dict[str, Any]:
    """Why a saved model says what it says over stored data (`ktrdr.training.explain`). Raises InvalidInputError."""
    import pandas as pd

    from ktrdr.training import explain as explaining
    from ktrdr.training import series
    from ktrdr.training.faults import Fault, InvalidInputError
    from ktrdr.training.prices import read
    from ktrdr.training.saved_model import load

    try:
        moment = None if at is None else pd.to_datetime(at, utc=True, format="ISO8601")
    except ValueError:
        raise InvalidInputError([Fault(("at",), f"{at!r} is no time", "write 2024-05-31T14:00")]) from None
    loaded = load(model)
    frames = {timeframe: read(path, digest) for timeframe, (path, digest) in prices.items()}
    known = loaded.strategy.context
    values = {name: series.read(path, known[name].kind, digest) for name, (path, digest) in context.items()}
    return explaining.explain(loaded, frames, values, at=moment, last=last)


def summarize(strategy: Strategy) -> Summary:
    """The features, the warm-up and the size of the network of a strategy."""
    from ktrdr.training.strategy import summary

    return summary.summarize(strategy)


def render_report(model: Path, job_id: str, model_digest: str) -> str:
    """The report of a saved model as an HTML page."""
    import json

    from ktrdr.report import render

    return render(json.loads((model / "report.json").read_bytes()), job_id=job_id, model_digest=model_digest)
