"""What a model says of bars, as a table. Imports this package's output."""

from __future__ import annotations

from typing import Any

from ktrdr.cli.output import bar_time, put_table


def put_predictions(predictions: dict[str, list[dict[str, Any]]]) -> None:
    """Symbol → its predictions, as a table."""
    rows = [(symbol, row) for symbol, predicted in predictions.items() for row in predicted]
    names = [name for name in rows[0][1] if name != "time"] if rows else []
    put_table(
        ("symbol", "time", *names),
        [(symbol, bar_time(row["time"]), *(_rounded(row[name]) for name in names)) for symbol, row in rows],
        empty="there are too few bars for a prediction",
    )


def _rounded(value: object) -> object:
    return f"{value:.4f}" if isinstance(value, float) else value
