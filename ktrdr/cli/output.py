"""The one place that decides how something is shown: rich in a terminal, plain text in a pipe, or JSON.

Imports the standard library; rich only for a terminal. Data goes to stdout, talk to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

#: Colours of statuses in a terminal; the word itself is always there too.
STATUS_STYLES = {
    "queued": "yellow", "running": "cyan", "cancelling": "magenta",
    "completed": "green", "failed": "red", "cancelled": "magenta",
}  # fmt: skip


def is_terminal() -> bool:
    """Whether people watch stdout, so that live displays make sense."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def is_styled() -> bool:
    """Whether stdout takes tables with lines and colours: a terminal does, and whatever FORCE_COLOR stands for.

    NO_COLOR takes the colours away and leaves the rest; rich sees to that.
    """
    return is_terminal() or bool(os.environ.get("FORCE_COLOR"))


def console() -> Console:
    """The terminal on stdout. It honours NO_COLOR by itself."""
    from rich.console import Console

    return Console(highlight=False, markup=False)


def say(message: str) -> None:
    """Tells people something that is no data."""
    print(message, file=sys.stderr, flush=True)


def put(line: str) -> None:
    """A line of data."""
    print(line, flush=True)


def put_heading(text: str) -> None:
    """The beginning of a new part of what follows."""
    if is_styled():
        from rich.text import Text

        console().print(Text(f"\n{text}", style="bold cyan"))
    else:
        put(f"\n{text}")


def put_styled(*parts: tuple[str, str]) -> None:
    """A line of data with styles, `(text, style)`, where stdout takes them."""
    if is_styled():
        from rich.text import Text

        console().print(Text.assemble(*parts), soft_wrap=True)
    else:
        put("".join(text for text, _ in parts).rstrip())


def put_json(value: object) -> None:
    """One line of JSON."""
    put(json.dumps(value, ensure_ascii=False))


def put_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "") -> None:
    """A table; numbers stand to the right. Without any rows, `empty` is said instead."""
    cells = [["" if cell is None else cell for cell in row] for row in rows]
    if not cells:
        say(empty)
    elif is_styled():
        _put_rich_table(headers, cells)
    else:
        _put_plain_table(headers, cells)


def put_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Names with their values, those without a value left out."""
    known = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        put(f"{name:<{width}}  {value}")


def local_time(instant: str | None) -> str:
    """A moment of the log as the clock on the wall shows it."""
    return datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M:%S") if instant else ""


def bar_time(instant: str) -> str:
    """When a bar opens, as short as it can be said: daily bars open at midnight, UTC."""
    return instant[:10] if instant[11:19] in ("00:00:00", "") else f"{instant[:10]} {instant[11:16]} UTC"


def _put_plain_table(headers: Sequence[str], rows: list[list[Any]]) -> None:
    texts = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    numeric = [all(_is_number(row[place]) for row in rows) for place in range(len(headers))]
    for line in texts:
        cells = zip(line, widths, numeric, strict=True)
        put("  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells).rstrip())


def _put_rich_table(headers: Sequence[str], rows: list[list[Any]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for place, header in enumerate(headers):
        table.add_column(header, justify="right" if all(_is_number(row[place]) for row in rows) else "left")
    for row in rows:
        table.add_row(*(Text(str(cell), style=STATUS_STYLES.get(str(cell), "")) for cell in row))
    console().print(table)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) or str(cell).rstrip(" %").replace(".", "", 1).replace(",", "").isdigit()
