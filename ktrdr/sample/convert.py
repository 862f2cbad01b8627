"""Makes prices.csv.gz from the source that PROVENANCE.md names: `python -m ktrdr.sample.convert SOURCE TARGET`.

Run once, kept so that anybody can repeat it. Imports the price import.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pandas as pd

from ktrdr.training.price_import import read_prices

_DIGITS = 6


def convert(source: bytes) -> bytes:
    """The sample file: back-adjusted prices of six significant digits, one row per symbol and day.

    Raises `InvalidInputError` when the source is no price data with an adjusted close.
    """
    tables = []
    for symbol, frame in read_prices(source, filename="stocks.csv", adjust=True).frames.items():
        table = pd.DataFrame({"Symbol": symbol, "Date": pd.DatetimeIndex(frame.index).strftime("%Y-%m-%d")})
        for column in ("open", "high", "low", "close"):
            # Rounding keeps the order of numbers, so low <= open, close <= high still holds.
            table[column.title()] = [f"{price:.{_DIGITS}g}" for price in frame[column]]
        table["Volume"] = frame["volume"].astype("int64").to_numpy()
        tables.append(table)
    text = pd.concat(tables).to_csv(index=False, lineterminator="\n")
    return gzip.compress(text.encode(), mtime=0)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(convert(Path(sys.argv[1]).read_bytes()))
