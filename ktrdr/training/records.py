"""Frames of numbers by time: what any of them must be, and the bytes in which they are stored. Imports numpy, pandas.

A frame has float64 columns and a UTC index `time`. It is stored as a NumPy `.npy` file, format 1.0, of little-endian
records. That form is canonical, one frame giving the same bytes everywhere, so that the digest which the log records is
what `sha256sum FILE` prints: an auditor needs nothing of ours to check it, and `numpy.load(FILE)` to read it. No
compression and no Parquet: their bytes depend on the library's version. Prices and context series say what else holds
of theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ktrdr.training.faults import Fault, InvalidInputError

#: A rule that rows break: the problem, its mending, the columns to show, and the rows.
Broken = tuple[str, str, tuple[str, ...], NDArray[np.bool_]]
#: What must hold of the columns' numbers.
Rules = Callable[[Mapping[str, NDArray[np.float64]]], Iterator[Broken]]
#: Names a row for people, by its position: where it stands in the file, or its time.
RowName = Callable[[int], str]

#: The format pads the header so that the records begin at a multiple of this.
_ALIGNMENT = 64
#: NumPy leaves room in the header for the number of rows to grow to this many digits.
_GROWTH_DIGITS = 21

_MOST_ROWS_SHOWN = 10


def validate(frame: pd.DataFrame, columns: Sequence[str], rules: Rules, row_name: RowName | None = None) -> None:
    """Raises `InvalidInputError` unless the frame has these columns and keeps the rules; nothing is repaired.

    One fault for each kind of mistake, with the number of its rows and the first ten of them; `row_name` says what to
    call a row, by default its position and time.
    """
    faults = _shape_faults(frame, columns)
    if not faults:
        name = row_name or (lambda row: f"row {row} ({frame.index[row]})")
        broken = [*_wrong_times(frame.index), *rules({column: frame[column].to_numpy() for column in columns})]
        faults = [_row_fault(frame, rule, name) for rule in broken if rule[3].any()]
    if faults:
        raise InvalidInputError(faults)


def to_bytes(frame: pd.DataFrame, columns: Sequence[str]) -> bytes:
    """The stored form of a valid frame."""
    record = _record(columns)
    records = np.empty(len(frame), record)
    records["time"] = nanoseconds(frame.index)
    for column in columns:
        records[column] = frame[column].to_numpy()
    return _header(record, len(frame)) + records.tobytes()


def from_bytes(data: bytes, columns: Sequence[str]) -> pd.DataFrame | None:
    """The frame stored in `data`, not validated; None when they are not the canonical bytes of one."""
    record = _record(columns)
    rows, rest = divmod(len(data) - len(_header(record, 0)), record.itemsize)
    if rows < 1 or rest or not data.startswith(_header(record, rows)):
        return None
    records = np.frombuffer(data, record, offset=len(_header(record, 0)))
    index = pd.DatetimeIndex(records["time"].astype("M8[ns]"), name="time").tz_localize("UTC")
    values = np.empty((len(columns), rows))
    for position, column in enumerate(columns):
        values[position] = records[column]
    return pd.DataFrame(values.T, index=index, columns=list(columns), copy=False)


def digest(data: bytes) -> str:
    """The SHA-256 of stored data, as `sha256sum` prints it."""
    return hashlib.sha256(data).hexdigest()


def read_file(path: Path, expected_digest: str | None, what: str) -> bytes:
    """The bytes of a file. Raises `InvalidInputError` when its digest is not the expected one."""
    data = Path(path).read_bytes()
    if expected_digest is not None and (found := digest(data)) != expected_digest:
        problem = f"{path} has the digest {found}, not {expected_digest}"
        raise InvalidInputError([Fault((), problem, f"the file was changed or damaged; import the {what} again")])
    return data


def nanoseconds(index: pd.Index) -> NDArray[np.int64]:
    """Times as int64 nanoseconds since 1970."""
    return pd.DatetimeIndex(index).as_unit("ns").asi8


def _record(columns: Sequence[str]) -> np.dtype[np.void]:
    return np.dtype([("time", "<i8"), *((column, "<f8") for column in columns)])


def _header(record: np.dtype[np.void], rows: int) -> bytes:
    """The header of format 1.0 as NumPy writes it, spelled out here so that no version of NumPy can change a digest."""
    text = f"{{'descr': {record.descr!r}, 'fortran_order': False, 'shape': ({rows},), }}"
    text += " " * (_GROWTH_DIGITS - len(str(rows)))
    padding = -(10 + len(text) + 1) % _ALIGNMENT
    return b"\x93NUMPY\x01\x00" + (len(text) + padding + 1).to_bytes(2, "little") + f"{text}{' ' * padding}\n".encode()


def _shape_faults(frame: pd.DataFrame, columns: Sequence[str]) -> list[Fault]:
    faults = []
    if list(frame.columns) != list(columns):
        problem = f"the columns are {', '.join(map(str, frame.columns)) or 'none'}"
        faults.append(Fault((), problem, f"exactly {', '.join(columns)}"))
    faults += [
        Fault((column,), f"the column {column} holds {frame[column].dtype}, not float64", "numbers")
        for column in columns
        if list(frame.columns).count(column) == 1 and frame[column].dtype != np.float64
    ]
    if not isinstance(frame.index, pd.DatetimeIndex) or str(frame.index.tz) != "UTC" or frame.index.name != "time":
        faults.append(Fault(("time",), "the index is not a UTC DatetimeIndex named time", "the time each bar opens"))
    elif not _is_within_reach(frame.index):
        faults.append(Fault(("time",), "a time lies before 1678 or after 2261", "times of real bars"))
    if len(frame) == 0:
        faults.append(Fault((), "there are no rows", "at least one bar"))
    return faults


def _is_within_reach(index: pd.DatetimeIndex) -> bool:
    try:
        index.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime:
        return False
    return True


def _wrong_times(index: pd.Index) -> Iterator[Broken]:
    time = nanoseconds(index)
    step = np.diff(time, prepend=time[0] - 1)
    missing = np.asarray(index.isna())
    yield "the time is missing", "every row has a time", (), missing
    yield "the time repeats the row before", "one row for each time", (), (step == 0) & ~missing
    yield "the time is before the row above", "the oldest row first", (), (step < 0) & ~missing


def _row_fault(frame: pd.DataFrame, rule: Broken, row_name: RowName) -> Fault:
    problem, fix, columns, rows = rule
    positions = np.flatnonzero(rows)
    shown = [
        ", ".join((row_name(int(row)), *(f"{column} {frame[column].iloc[row]:.10g}" for column in columns)))
        for row in positions[:_MOST_ROWS_SHOWN]
    ]
    more = f"; and {len(positions) - len(shown)} more" if len(positions) > len(shown) else ""
    count = "1 row" if len(positions) == 1 else f"{len(positions)} rows"
    path = (columns[0],) if columns else ("time",)
    return Fault(path, f"{problem} in {count}: {'; '.join(shown)}{more}", fix)
