"""Price data over HTTP: import a file, list what there is. Imports the store."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api import heavy
from ktrdr.api.context import context_of
from ktrdr.api.requests import Body, read_body, read_query
from ktrdr.store.catalogue import put_dataset
from ktrdr.store.log import Transaction

FILE_LIMIT = 256_000_000


class ImportQuery(Body):
    """How to read a price file; what is not said is found out or refused."""

    filename: str = Field(
        "prices.csv", max_length=255, description="Its ending tells its kind: .csv, .csv.gz, .parquet."
    )
    symbol: str | None = Field(None, description="Whose prices, unless the file has a symbol column or is named so.")
    timeframe: str | None = Field(None, description="1m to 1M; otherwise the usual distance of the bars.")
    timezone: str = Field("UTC", max_length=64, description="Of times that name none.")
    date_format: str | None = Field(None, max_length=64, description="As in strftime, for dates with two readings.")
    adjust: bool = Field(False, description="Back-adjust prices by the column of adjusted closes.")


async def list_datasets(request: Request) -> Response:
    """Every symbol and timeframe with prices."""
    return JSONResponse({"datasets": [asdict(dataset) for dataset in context_of(request).reader.datasets()]})


async def put(request: Request) -> Response:
    """Imports a price file: all of it or, with every fault named, nothing."""
    context, query = context_of(request), read_query(request, ImportQuery)
    body = await read_body(request, FILE_LIMIT)
    imported = await context.compute.run(
        heavy.import_prices,
        body,
        context.store.home / "prices",
        filename=query.filename,
        symbol=query.symbol,
        timeframe=query.timeframe,
        timezone=query.timezone,
        date_format=query.date_format,
        adjust=query.adjust,
    )

    def record(transaction: Transaction) -> list[dict[str, object]]:
        return [asdict(put_dataset(transaction, **asdict(series))) for series in imported.series]

    return JSONResponse({"datasets": await context.log.write(record), "notes": list(imported.notes)})
