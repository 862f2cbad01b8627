"""Small price frames for the tests of prices and their import."""

from __future__ import annotations

import pandas as pd


def price_frame(rows: int = 4, freq: str = "D", start: str = "2020-01-01") -> pd.DataFrame:
    index = pd.date_range(start, periods=rows, freq=freq, tz="UTC", name="time")
    close = [10.0 + row for row in range(rows)]
    return pd.DataFrame(
        {
            "open": close,
            "high": [price + 1 for price in close],
            "low": [price - 1 for price in close],
            "close": close,
            "volume": [100.0] * rows,
        },
        index=index,
    )
