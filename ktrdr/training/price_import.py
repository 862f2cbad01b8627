"""Prices as people have them, in CSV or Parquet, to valid price frames. Imports the table, the times and the frames.

Nothing is repaired: what cannot be read without guessing is refused, with the lines as an editor counts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.price_table import Table, fault, read_table
from ktrdr.training.price_times import read_times
from ktrdr.training.prices import COLUMNS, RowName, infer_timeframe, spacing, validate
from ktrdr.training.strategy.model import TIMEFRAMES
from ktrdr.training.strategy.names import SYMBOL_PATTERN

_BLANK = ("", "nan", "null", "none", "na", "n/a", "-")
_SUFFIXES = {".gz", ".csv", ".txt", ".tsv", ".parquet", ".pq"}
MOST_SYMBOLS = 1000


@dataclass(frozen=True, slots=True)
class Imported:
    #: Symbol → its price frame.
    frames: dict[str, pd.DataFrame]
    #: What was left out, turned round or assumed, in sentences.
    notes: list[str]


def read_prices(
    data: bytes,
    *,
    filename: str,
    symbol: str | None = None,
    timezone: str = "UTC",
    date_format: str | None = None,
    adjust: bool = False,
) -> Imported:
    """The price frames in the bytes of a CSV (also .gz) or Parquet file.

    A file with a column of symbols gives a frame for each, or only that of `symbol`; otherwise the symbol is `symbol`
    or the name of the file. `timezone` is that of times without an offset, `date_format` their form (as strptime
    writes it). `adjust` multiplies open, high, low and close by adjusted close / close. Raises `InvalidInputError`
    with the numbers of the offending rows.
    """
    table = read_table(data)
    notes = list(table.notes)
    times, values = _read_columns(table, timezone, date_format)
    if adjust:
        _adjust(values, notes)
    elif values.pop("adjusted", None) is not None:
        notes.append("the adjusted close is not used; with adjust the prices are adjusted by it")
    if "volume" not in values:
        values["volume"] = np.zeros(len(times))
        notes.append("there is no volume column: the volume is 0")
    frames, faults = {}, []
    for name, rows in _symbols(table, symbol, filename, notes):
        ordered = oldest_first(times, rows, name, notes)
        frame = pd.DataFrame({column: values[column][ordered] for column in COLUMNS}, index=times[ordered])
        try:
            validate(frame, row_name=row_name(table, ordered, frame.index))
        except InvalidInputError as error:
            faults += [Fault((name, *each.path), each.problem, each.fix) for each in error.faults]
        frames[name] = frame
    if faults:
        raise InvalidInputError(faults)
    return Imported(frames, notes)


def check_timeframe(frame: pd.DataFrame, given: str | None = None) -> str:
    """The timeframe of the bars, found by their most common spacing.

    Raises `InvalidInputError` when that is no timeframe of the grammar or contradicts the `given` one, or when there
    are not two bars to compare and none is given.
    """
    known = f"one of {', '.join(TIMEFRAMES)}"
    if given is not None and given not in TIMEFRAMES:
        raise fault(f"{given!r} is no timeframe", known, "timeframe")
    found = infer_timeframe(frame)
    if len(frame) < 2:
        if given is None:
            raise fault("one bar alone shows no timeframe", f"give the timeframe, {known}", "timeframe")
        return given
    if found is None:
        raise fault(f"most bars are {spacing(frame)} apart, which is no timeframe", known, "timeframe")
    if given not in (None, found):
        problem = f"most bars are {spacing(frame)} apart, which contradicts the timeframe {given!r}"
        raise fault(problem, f"give {found!r}, or none", "timeframe")
    return found


def _read_columns(
    table: Table, timezone: str, date_format: str | None
) -> tuple[pd.DatetimeIndex, dict[str, NDArray[np.float64]]]:
    """Times and numbers, or the faults of all columns together."""
    faults: list[Fault] = []
    times, values = pd.DatetimeIndex([]), {}
    try:
        times = read_times(table, timezone, date_format)
    except InvalidInputError as error:
        faults += error.faults
    comma = has_decimal_comma(table, COLUMNS[:4])
    for role in (*COLUMNS, "adjusted"):
        if role in table.columns:
            try:
                values[role] = numbers_of(table, role, comma)
            except InvalidInputError as error:
                faults += error.faults
    if faults:
        raise InvalidInputError(faults)
    return times, values


def has_decimal_comma(table: Table, roles: Sequence[str]) -> bool:
    """Whether 1,5 means one and a half: where a comma separates no cells, and no number is written with a point."""
    prices = [column for role in roles if (column := table.columns[role]).dtype == "str"]
    has_comma = any(column.str.contains(",", regex=False).any() for column in prices)
    has_point = any(column.str.contains(".", regex=False).any() for column in prices)
    return table.separator not in ("", ",") and has_comma and not has_point


def is_blank(column: pd.Series) -> NDArray[np.bool_]:
    """Which cells hold nothing, or a word for it."""
    return column.isna().to_numpy() | column.astype(str).str.strip().str.lower().isin(_BLANK).to_numpy()


def numbers_of(table: Table, role: str, decimal_comma: bool) -> NDArray[np.float64]:
    """The numbers of a column. Raises `InvalidInputError` with the rows that have none."""
    column = table.columns[role]
    if pd.api.types.is_float_dtype(column.dtype) or pd.api.types.is_integer_dtype(column.dtype):
        table.refuse(column.isna().to_numpy(), column, f"{role} is blank", "a number in every row", role)
        return column.to_numpy(dtype=np.float64)
    text = column.astype(str).str.strip()
    table.refuse(is_blank(column), text, f"{role} is blank", "a number in every row", role)
    if decimal_comma:
        text = text.str.replace(",", ".", regex=False)
    is_grouped = text.str.fullmatch(r"-?\d{1,3}(?:[,. ']\d{3})+(?:[.,]\d+)?").to_numpy(dtype=bool)
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    is_wrong = np.isnan(numbers)
    problem = f"{role} has a thousands separator"
    table.refuse(is_wrong & is_grouped, text, problem, "write 1234.5 and not 1,234.5", role)
    table.refuse(is_wrong, text, f"{role} is not a number", "a plain number such as 1234.5", role)
    return numbers


def _adjust(values: dict[str, NDArray[np.float64]], notes: list[str]) -> None:
    if "adjusted" not in values:
        raise fault("there is no adjusted close to adjust by", "a column Adj Close, or no adjust", "adjust")
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = values.pop("adjusted") / values["close"]
    for column in COLUMNS[:4]:
        # One factor for all four: rounding keeps their order, which the adjusted close itself might break.
        values[column] = values[column] * factor
    notes.append("open, high, low and close are multiplied by adjusted close / close; the volume is as it was")


def _symbols(
    table: Table, symbol: str | None, filename: str, notes: list[str]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Every symbol with the positions of its rows, in the order of the file."""
    if "symbol" not in table.columns:
        name = symbol or _stem(filename)
        if symbol is None:
            notes.append(f"the symbol is the name of the file: {name}")
        _check_symbols([name], "give the symbol")
        yield name, np.arange(len(table.numbers))
        return
    column = table.columns["symbol"].astype(str).str.strip()
    codes, names = pd.factorize(column)
    found = [str(name) for name in names]
    if symbol is not None and symbol not in found:
        raise fault(f"there are no rows of {symbol!r}", f"one of {', '.join(found[:20])}", "symbol")
    _check_symbols(found if symbol is None else [symbol], "a symbol in every row")
    if len(found) > MOST_SYMBOLS:
        raise fault(f"the file has {len(found)} symbols", f"at most {MOST_SYMBOLS}", "symbol")
    order = np.argsort(codes, kind="stable")
    for name, rows in zip(found, np.split(order, np.cumsum(np.bincount(codes))[:-1]), strict=True):
        if symbol in (None, name):
            yield name, rows


def _check_symbols(names: list[str], fix: str) -> None:
    faults = [
        Fault(("symbol",), f"{name!r} is no symbol", f"{fix}: 1 to 32 letters, digits and . _ ^ = -")
        for name in names
        if not re.fullmatch(SYMBOL_PATTERN, name)
    ]
    if faults:
        raise InvalidInputError(faults[:10])


def row_name(table: Table, rows: NDArray[np.int64], times: pd.Index) -> RowName:
    """Calls a row of a frame by its place in the file and its time."""
    return lambda row: f"{table.unit} {table.numbers[rows[row]]} ({times[row]})"


def _stem(filename: str) -> str:
    path = PurePath(filename)
    while path.suffix.lower() in _SUFFIXES:
        path = path.with_suffix("")
    return path.name


def oldest_first(times: pd.DatetimeIndex, rows: NDArray[np.int64], name: str, notes: list[str]) -> NDArray[np.int64]:
    """The rows as they are, or turned round where the whole series is written newest first, as some vendors do."""
    steps = np.diff(times[rows].asi8)
    if len(steps) and (steps < 0).all():
        notes.append(f"{name} was written newest first and is turned round")
        return rows[::-1]
    return rows
