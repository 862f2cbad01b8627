"""The first step of a price import: bytes of CSV or Parquet to columns with known roles. Imports pandas and pyarrow.

Cells stay as they were written; every row keeps the number that an editor shows for its line.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.table_forms import PRICES, Form, reduced

#: Unpacked. Ten million bars of one minute are nineteen years.
MOST_BYTES = 1024**3
MOST_ROWS = 10_000_000

_SEPARATORS = (",", ";", "\t", "|")
#: Some vendors put a link or a title above the header.
_HEADER_WITHIN = 10


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a file by role. `clock` holds the time of day where the file has it beside the date."""

    columns: dict[str, pd.Series]
    clock: pd.Series | None
    #: For each row the number of its line (CSV, from 1) or of its row (Parquet, from 1).
    numbers: NDArray[np.int64]
    #: What stands between the cells of a CSV file; empty for Parquet.
    separator: str
    notes: tuple[str, ...]

    @property
    def unit(self) -> str:
        return "line" if self.separator else "row"

    def refuse(self, wrong: NDArray[np.bool_], column: pd.Series, problem: str, fix: str, role: str) -> None:
        """Raises `InvalidInputError`, naming the first ten rows with their cells, if any row is wrong."""
        rows = np.flatnonzero(wrong)
        if not len(rows):
            return
        listed = ", ".join(f"{self.unit} {self.numbers[row]} ({str(column.iloc[row])[:40]!r})" for row in rows[:10])
        more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
        raise fault(f"{problem}: {listed}{more}", fix, role)


def fault(problem: str, fix: str, *path: str | int) -> InvalidInputError:
    return InvalidInputError([Fault(path, problem, fix)])


def read_table(data: bytes, form: Form = PRICES) -> Table:
    """Reads CSV (also compressed by gzip) or Parquet. Raises `InvalidInputError` when it is neither, or when the
    columns that the form requires are not found."""
    if data[:4] == b"PAR1":
        return _read_parquet(data, form)
    return _read_csv(_unpack(data), form)


def _unpack(data: bytes) -> str:
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise fault(f"the gzip data is damaged: {error}", "download the file again") from error
    if len(data) > MOST_BYTES:
        raise fault(f"the file has more than {MOST_BYTES} bytes", "split it into several files")
    # MetaTrader writes UTF-16.
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise fault(f"line {line} holds bytes that are not text in UTF-8", "save the file as UTF-8") from error


def _read_csv(text: str, form: Form) -> Table:
    above, headers, separator = _find_header(text, form)
    body = text.split("\n", above + 1)[above + 1] if text.count("\n") > above else ""
    width = len(headers)
    _check_quotes(body, separator, above + 2)
    try:
        first = next(csv.reader([body.split("\n", 1)[0]], delimiter=separator), [])
        if len(first) > width:
            raise _ragged(above + 2, len(first), width)
        # One column more than the header has, so that a longer line is seen and not cut off.
        frame = pd.read_csv(
            io.StringIO(body),
            sep=separator,
            header=None,
            names=list(range(width + 1)),
            index_col=False,
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,
            skipinitialspace=True,
        )
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame({column: pd.Series(dtype=str) for column in range(width + 1)})
    except (pd.errors.ParserError, csv.Error) as error:
        raise _untabular(str(error), above + 1, width) from error
    numbers = np.arange(len(frame)) + above + 2
    is_blank = np.ones(len(frame), dtype=bool)
    for column in frame:
        is_blank &= (frame[column] == "").to_numpy()
    frame, numbers = frame[~is_blank].reset_index(drop=True), numbers[~is_blank]
    longer = np.flatnonzero((frame[width] != "").to_numpy())
    if len(longer):
        raise _ragged(int(numbers[longer[0]]), width + 1, width)
    notes = (f"{above} lines above the header are left out",) if above else ()
    return _with_roles(frame, headers, numbers, separator, notes, form=form)


def _check_quotes(body: str, separator: str, number: int) -> None:
    """Refuses quotes that open inside a cell or do not close in their line: rows would then be no lines."""
    if '"' not in body:
        return
    cell = rf'(?: *"[^"]*" *|[^"{separator}]*)'
    line_form = re.compile(rf"{cell}(?:{re.escape(separator)}{cell})*")
    for line in body.split("\n"):
        if not line_form.fullmatch(line):
            raise fault(f"line {number} has a quote inside a cell, or one that is not closed", "quotes around cells")
        number += 1


def _find_header(text: str, form: Form) -> tuple[int, list[str], str]:
    """The lines above the header, its names and the separator."""
    lines = text.split("\n", _HEADER_WITHIN + 1)[:_HEADER_WITHIN]
    for above, line in enumerate(lines):
        separator = max(_SEPARATORS, key=line.count)
        headers = [name.strip().strip('"').strip() for name in line.split(separator)]
        if form.marks <= set(_roles(headers, form)):
            return above, headers, separator
    found = f": it begins with {lines[0].strip()[:60]!r}" if lines[0].strip() else ""
    raise fault(f"no header with {form.wanted} is found{found}", "name the columns in the first line")


def _ragged(line: int, cells: int, width: int) -> InvalidInputError:
    return fault(f"line {line} has {cells} cells, the header has {width}", "as many cells as the header")


def _untabular(message: str, above: int, width: int) -> InvalidInputError:
    found = re.search(r"Expected \d+ fields in line (\d+), saw (\d+)", message)
    if found is not None:
        return _ragged(int(found[1]) + above, int(found[2]), width)
    return fault(f"the file is not a table: {message.strip()[:200]}", f"{width} cells in every line")


def _read_parquet(data: bytes, form: Form) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        source = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        if source.metadata.num_rows > MOST_ROWS:
            raise fault(f"the file has {source.metadata.num_rows} rows", f"at most {MOST_ROWS}")
        frame = source.read().to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise fault(f"the file is no readable Parquet: {str(error)[:200]}", "write the file again") from error
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    headers = [str(name) for name in frame.columns]
    frame.columns = pd.RangeIndex(len(headers))
    return _with_roles(frame, headers, np.arange(1, len(frame) + 1), "", (), form=form)


def _roles(headers: Sequence[str], form: Form) -> dict[str, int]:
    """Role → position of the best header for it."""
    written = [reduced(header) for header in headers]
    found = {
        role: min((i for i, name in enumerate(written) if name in names), key=lambda i: names.index(written[i]))
        for role, names in form.roles.items()
        if any(name in names for name in written)
    }
    if form.takes_lone_value and "time" in found and len(headers) == 2:
        found["value"] = 1 - found["time"]
    return found


def _with_roles(
    frame: pd.DataFrame,
    headers: list[str],
    numbers: NDArray[np.int64],
    separator: str,
    notes: tuple[str, ...],
    *,
    form: Form,
) -> Table:
    roles = _roles(headers, form)
    missing = [role for role in form.required if role not in roles]
    if missing:
        problem = f"no column for {' and '.join(missing)} among {', '.join(headers)}"
        raise fault(problem, f"for example {form.example}")
    if len(frame) > MOST_ROWS:
        raise fault(f"the file has {len(frame)} rows", f"at most {MOST_ROWS}")
    if len(frame) == 0:
        raise fault("there are no rows below the header", "at least one bar")
    lowered = [header.strip("<> ").lower() for header in headers]
    clock = None
    if "date" in lowered and "time" in lowered:
        roles["time"] = lowered.index("date")
        clock = frame[lowered.index("time")]
    used = set(roles.values()) | ({lowered.index("time")} if clock is not None else set())
    ignored = [header for position, header in enumerate(headers) if position not in used and header]
    if ignored:
        notes += (f"columns that are not read: {', '.join(ignored)}",)
    columns = {role: frame[position] for role, position in roles.items()}
    return Table(columns, clock, np.asarray(numbers, dtype=np.int64), separator, notes)
