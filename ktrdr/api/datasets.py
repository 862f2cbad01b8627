"""Price data and context series over HTTP: import a file, list what there is. Imports the store."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api import heavy
from ktrdr.api.conditions import json_answer
from ktrdr.api.context import Context, context_of
from ktrdr.api.requests import Body, read_body, read_query
from ktrdr.store.catalogue import put_dataset
from ktrdr.store.log import Transaction
from ktrdr.training.faults import Fault, InvalidInputError

FILE_LIMIT = 256_000_000


class ImportQuery(Body):
    """How to read a file of prices or, with `series`, of values; what is not said is found out or refused."""

    filename: str = Field(
        "prices.csv", max_length=255, description="Its ending tells its kind: .csv, .csv.gz, .parquet."
    )
    symbol: str | None = Field(None, description="Whose prices, unless the file has a symbol column or is named so.")
    timeframe: str | None = Field(None, description="1m to 1M; otherwise the usual distance of the bars.")
    timezone: str = Field("UTC", max_length=64, description="Of times that name none.")
    date_format: str | None = Field(None, max_length=64, description="As in strftime, for dates with two readings.")
    adjust: bool = Field(False, description="Back-adjust prices by the column of adjusted closes.")
    series: str | None = Field(None, description="The file holds the values of this context series, not prices.")
    frequency: str | None = Field(
        None, description="How far a value reaches: daily, weekly, monthly, quarterly or a timeframe."
    )
    column: str | None = Field(None, max_length=200, description="Which column holds the values, if there are several.")


async def list_datasets(request: Request) -> Response:
    """Every symbol and timeframe with prices, and every context series with its frequency."""
    found = [asdict(dataset) for dataset in context_of(request).reader.datasets()]
    return json_answer(request, {"datasets": found})


async def put(request: Request) -> Response:
    """Imports a file: all of it or, with every fault named, nothing."""
    context, query = context_of(request), read_query(request, ImportQuery)
    _check_query(query)
    return JSONResponse(await import_file(context, await read_body(request, FILE_LIMIT), query))


async def import_file(context: Context, body: bytes, query: ImportQuery) -> dict[str, Any]:
    """Imports the content of a file and gives its datasets, with notes of what was understood on the way.

    Raises InvalidInputError with every fault of the file, importing nothing.
    """
    folder = context.store.home / "prices"
    if query.series is not None:
        imported = await context.compute.run(
            heavy.import_series,
            body,
            folder,
            name=query.series,
            frequency=query.frequency or "",
            column=query.column,
            timezone=query.timezone,
            date_format=query.date_format,
        )
    else:
        imported = await context.compute.run(
            heavy.import_prices,
            body,
            folder,
            filename=query.filename,
            symbol=query.symbol,
            timeframe=query.timeframe,
            timezone=query.timezone,
            date_format=query.date_format,
            adjust=query.adjust,
        )

    def record(transaction: Transaction) -> list[dict[str, object]]:
        return [asdict(put_dataset(transaction, **asdict(series))) for series in imported.series]

    return {"datasets": await context.log.write(record), "notes": list(imported.notes)}


def _check_query(query: ImportQuery) -> None:
    """What belongs to prices is refused of values, and the other way round. Raises InvalidInputError."""
    if query.series is None:
        idle = {"frequency": query.frequency is not None, "column": query.column is not None}
        fix = "give the name of the series too, or leave it out"
    else:
        idle = {"symbol": query.symbol is not None, "timeframe": query.timeframe is not None, "adjust": query.adjust}
        fix = "give it for prices only"
    kind = "prices" if query.series is None else "a series"
    faults = [Fault((name,), f"{name!r} has no effect on {kind}", fix) for name, is_idle in idle.items() if is_idle]
    if query.series is not None and query.frequency is None:
        fix = "for example daily, weekly or monthly"
        faults.append(Fault(("frequency",), "the frequency of the series is missing", fix))
    if faults:
        raise InvalidInputError(faults)
