"""Price data and context series: import a file, list what there is. Imports click; the client when a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ktrdr.cli.options import connect_to, json_option, url_option
from ktrdr.cli.output import bar_time, put_json, put_table, say


@click.group()
def data() -> None:
    """Imports and lists prices and context series.

    \b
    Examples:
      ktrdr data import --sample
      ktrdr data import prices/AAPL.csv
      ktrdr data list
    """


@data.command("import")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--sample", is_flag=True, help="The prices that come with ktrdr: daily bars of AAPL, IBM, MSFT, ….")
@click.option("--symbol", help="Whose prices, unless a column or the file's name says so.")
@click.option("--timeframe", help="1m to 1M; otherwise the usual distance of the bars.")
@click.option("--timezone", help="Of times that name none.  [default: UTC]")
@click.option("--date-format", help="As in strftime, for dates that can be read in two ways.")
@click.option("--adjust", is_flag=True, help="Back-adjust prices by the column of adjusted closes.")
@click.option("--series", help="The file holds the values of this context series, not prices.")
@click.option("--frequency", help="How far a value reaches: daily, weekly, monthly, quarterly or a timeframe.")
@click.option("--column", help="The column of the values, where there are several.")
@url_option
@json_option
def import_(
    *,
    file: Path | None,
    sample: bool,
    symbol: str | None,
    timeframe: str | None,
    timezone: str | None,
    date_format: str | None,
    adjust: bool,
    series: str | None,
    frequency: str | None,
    column: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Imports a file (.csv, .csv.gz, .parquet): all of it or, with every fault named, nothing.

    \b
    Examples:
      ktrdr data import --sample
      ktrdr data import AAPL.csv --timezone America/New_York
      ktrdr data import export.csv --symbol AAPL --date-format %d.%m.%Y --adjust
      ktrdr data import DGS10.csv --series DGS10 --frequency daily
    """
    if (file is None) != sample:
        raise click.UsageError("give either a FILE or --sample")
    if (series is None) != (frequency is None) or (series is None and column is not None):
        raise click.UsageError("--series and --frequency belong together, and --column to them")
    if series is not None and (sample or symbol or timeframe or adjust):
        raise click.UsageError("--sample, --symbol, --timeframe and --adjust are of prices, not of a series")
    if file is None:
        from ktrdr.sample import prices

        content, filename = prices(), "prices.csv.gz"
    else:
        content, filename = file.read_bytes(), file.name
    with connect_to(url) as client:
        if series is not None and frequency is not None:
            imported = client.import_series(
                content,
                filename=filename,
                series=series,
                frequency=frequency,
                column=column,
                timezone=timezone,
                date_format=date_format,
            )
        else:
            imported = client.import_prices(
                content,
                filename=filename,
                symbol=symbol,
                timeframe=timeframe,
                timezone=timezone,
                date_format=date_format,
                adjust=adjust,
            )
    if as_json:
        put_json(imported)
        return
    for note in imported["notes"]:
        say(f"note: {note}")
    _put_datasets(imported["datasets"])


@data.command("list")
@url_option
@json_option
def list_(url: str | None, as_json: bool) -> None:
    """Lists every symbol and timeframe with prices, and every context series.

    \b
    Examples:
      ktrdr data list
      ktrdr data list --json
    """
    with connect_to(url) as client:
        datasets = client.datasets()
    if as_json:
        put_json({"datasets": datasets})
    else:
        _put_datasets(datasets)


def _put_datasets(datasets: list[dict[str, Any]]) -> None:
    put_table(
        ("symbol", "timeframe", "rows", "first", "last", "kind", "digest"),
        [
            (
                one["symbol"],
                one["timeframe"],
                one["rows"],
                bar_time(one["first"]),
                bar_time(one["last"]),
                one["kind"],
                one["digest"][:12],
            )
            for one in datasets
        ],
        empty="no prices yet; import some with: ktrdr data import FILE (or --sample)",
    )
