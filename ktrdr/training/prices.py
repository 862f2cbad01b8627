"""Price frames: what one must be, and the bytes in which it is stored. Imports numpy and pandas.

A price frame has the float64 columns open, high, low, close and volume and a UTC index `time`, the instant at which
each bar opens. It is stored as a NumPy `.npy` file, format 1.0, of little-endian records. That form is canonical, one
frame giving the same bytes everywhere, so that the digest which the log records is what `sha256sum FILE` prints: an
auditor needs nothing of ours to check it, and `numpy.load(FILE)` to read it. No compression and no Parquet: their
bytes depend on the library's version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.model import TIMEFRAMES

COLUMNS = ("open", "high", "low", "close", "volume")

_RECORD = np.dtype([("time", "<i8"), *((column, "<f8") for column in COLUMNS)])
#: The format pads the header so that the records begin at a multiple of this.
_ALIGNMENT = 64
#: NumPy leaves room in the header for the number of rows to grow to this many digits.
_GROWTH_DIGITS = 21

_MOST_ROWS_SHOWN = 10

_DAY = 24 * 60
#: Timeframe → the minutes from one bar to the next; a month has 28 to 31 days.
_MINUTES = dict(zip(TIMEFRAMES, (1, 5, 15, 30, 60, 120, 240, _DAY, 7 * _DAY), strict=False))
_MONTH = range(28 * _DAY, 31 * _DAY + 1)

#: A broken rule: the problem, its mending, the columns to show, and the rows that break it.
_Broken = tuple[str, str, tuple[str, ...], NDArray[np.bool_]]

#: Names a row for people, by its position: where it stands in the file, or its time.
RowName = Callable[[int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a list of series says of one of them."""

    rows: int
    first: datetime
    last: datetime
    #: None when the spacing of the bars is none of `TIMEFRAMES`.
    timeframe: str | None
    #: How often a bar is further from the one before than the timeframe: nights, weekends, holidays, missing bars.
    gaps: int
    longest_gap: timedelta


def validate(frame: pd.DataFrame, *, row_name: RowName | None = None) -> None:
    """Raises `InvalidInputError` unless `frame` is a price frame; nothing is repaired.

    One fault for each kind of mistake, with the number of its rows and the first ten of them; `row_name` says what to
    call a row, by default its position and time.
    """
    faults = _shape_faults(frame)
    if not faults:
        faults = _row_faults(frame, row_name or (lambda row: f"row {row} ({frame.index[row]})"))
    if faults:
        raise InvalidInputError(faults)


def to_bytes(frame: pd.DataFrame) -> bytes:
    """The stored form of a price frame. Raises `InvalidInputError` when it is none."""
    validate(frame)
    records = np.empty(len(frame), _RECORD)
    records["time"] = _nanoseconds(frame.index)
    for column in COLUMNS:
        records[column] = frame[column].to_numpy()
    return _header(len(frame)) + records.tobytes()


def from_bytes(data: bytes) -> pd.DataFrame:
    """The price frame stored in `data`. Raises `InvalidInputError` when they are not the canonical bytes of one."""
    rows, rest = divmod(len(data) - len(_header(0)), _RECORD.itemsize)
    if rows < 1 or rest or not data.startswith(_header(rows)):
        problem = "this is not a stored price series: its header or length differs from the canonical .npy form"
        raise InvalidInputError([Fault((), problem, "import the prices again")])
    records = np.frombuffer(data, _RECORD, offset=len(_header(0)))
    index = pd.DatetimeIndex(records["time"].astype("M8[ns]"), name="time").tz_localize("UTC")
    values = np.empty((len(COLUMNS), rows))
    for position, column in enumerate(COLUMNS):
        values[position] = records[column]
    frame = pd.DataFrame(values.T, index=index, columns=list(COLUMNS), copy=False)
    validate(frame)
    return frame


def digest(data: bytes) -> str:
    """The SHA-256 of stored prices, as `sha256sum` prints it."""
    return hashlib.sha256(data).hexdigest()


def read(path: Path, expected_digest: str | None = None) -> pd.DataFrame:
    """The price frame in the file at `path`.

    Raises `InvalidInputError` when the file is no stored price series, or when its digest is not the expected one.
    """
    data = Path(path).read_bytes()
    if expected_digest is not None and (found := digest(data)) != expected_digest:
        problem = f"{path} has the digest {found}, not {expected_digest}"
        raise InvalidInputError([Fault((), problem, "the file was changed or damaged; import the prices again")])
    return from_bytes(data)


def infer_timeframe(frame: pd.DataFrame) -> str | None:
    """The timeframe whose spacing is the most common; None when there is no such timeframe, or only one bar."""
    if len(frame) < 2:
        return None
    minutes, rest = divmod(spacing(frame), timedelta(minutes=1))
    if not rest and minutes in _MONTH:
        return "1M"
    return next((timeframe for timeframe, length in _MINUTES.items() if not rest and minutes == length), None)


def spacing(frame: pd.DataFrame) -> timedelta:
    """The most common time from one bar to the next; the frame has at least two."""
    return timedelta(microseconds=_most_common(np.diff(_nanoseconds(frame.index))) // 1000)


def describe(frame: pd.DataFrame) -> Description:
    """The extent of a price frame."""
    steps = np.diff(_nanoseconds(frame.index))
    timeframe = infer_timeframe(frame)
    usual = _MONTH.stop * 60_000_000_000 if timeframe == "1M" else _most_common(steps) if len(steps) else 0
    return Description(
        rows=len(frame),
        first=frame.index[0].to_pydatetime(),
        last=frame.index[-1].to_pydatetime(),
        timeframe=timeframe,
        gaps=int((steps > usual).sum()),
        longest_gap=timedelta(microseconds=int(steps.max()) // 1000) if len(steps) else timedelta(0),
    )


def _shape_faults(frame: pd.DataFrame) -> list[Fault]:
    faults = []
    if tuple(frame.columns) != COLUMNS:
        problem = f"the columns are {', '.join(map(str, frame.columns)) or 'none'}"
        faults.append(Fault((), problem, f"exactly {', '.join(COLUMNS)}"))
    faults += [
        Fault((column,), f"the column {column} holds {frame[column].dtype}, not float64", "numbers")
        for column in COLUMNS
        if list(frame.columns).count(column) == 1 and frame[column].dtype != np.float64
    ]
    if not isinstance(frame.index, pd.DatetimeIndex) or str(frame.index.tz) != "UTC" or frame.index.name != "time":
        faults.append(Fault(("time",), "the index is not a UTC DatetimeIndex named time", "the time each bar opens"))
    elif not _is_within_reach(frame.index):
        faults.append(Fault(("time",), "a time lies before 1678 or after 2261", "times of real bars"))
    if len(frame) == 0:
        faults.append(Fault((), "there are no rows", "at least one bar"))
    return faults


def _row_faults(frame: pd.DataFrame, row_name: RowName) -> list[Fault]:
    faults = []
    for problem, fix, columns, rows in _wrong_rows(frame):
        if not rows.any():
            continue
        positions = np.flatnonzero(rows)
        shown = [
            ", ".join((row_name(int(row)), *(f"{column} {frame[column].iloc[row]:.10g}" for column in columns)))
            for row in positions[:_MOST_ROWS_SHOWN]
        ]
        more = f"; and {len(positions) - len(shown)} more" if len(positions) > len(shown) else ""
        count = "1 row" if len(positions) == 1 else f"{len(positions)} rows"
        path = (columns[0],) if columns else ("time",)
        faults.append(Fault(path, f"{problem} in {count}: {'; '.join(shown)}{more}", fix))
    return faults


def _wrong_rows(frame: pd.DataFrame) -> list[_Broken]:
    time = _nanoseconds(frame.index)
    step = np.diff(time, prepend=time[0] - 1)
    missing = np.asarray(frame.index.isna())
    rules: list[_Broken] = [
        ("the time is missing", "every row has a time", (), missing),
        ("the time repeats the row before", "one row for each time", (), (step == 0) & ~missing),
        ("the time is before the row above", "the oldest row first", (), (step < 0) & ~missing),
    ]
    arrays = {column: frame[column].to_numpy() for column in COLUMNS}
    for column in ("open", "high", "low", "close"):
        wrong = ~(np.isfinite(arrays[column]) & (arrays[column] > 0))
        rules.append((f"{column} is not a positive number", "finite prices above 0", (column,), wrong))
    wrong = ~(np.isfinite(arrays["volume"]) & (arrays["volume"] >= 0))
    rules.append(("volume is not 0 or more", "a finite volume", ("volume",), wrong))
    for low, high in (("low", "open"), ("low", "close"), ("open", "high"), ("close", "high")):
        wrong = arrays[low] > arrays[high]
        rules.append((f"{low} is above {high}", "low <= open, close <= high", (low, high), wrong))
    return rules


def _is_within_reach(index: pd.DatetimeIndex) -> bool:
    try:
        index.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime:
        return False
    return True


def _nanoseconds(index: pd.Index) -> NDArray[np.int64]:
    return pd.DatetimeIndex(index).as_unit("ns").asi8


def _header(rows: int) -> bytes:
    """The header of format 1.0 as NumPy writes it, spelled out here so that no version of NumPy can change a digest."""
    text = f"{{'descr': {_RECORD.descr!r}, 'fortran_order': False, 'shape': ({rows},), }}"
    text += " " * (_GROWTH_DIGITS - len(str(rows)))
    padding = -(10 + len(text) + 1) % _ALIGNMENT
    return b"\x93NUMPY\x01\x00" + (len(text) + padding + 1).to_bytes(2, "little") + f"{text}{' ' * padding}\n".encode()


def _most_common(steps: NDArray[np.int64]) -> int:
    values, counts = np.unique(steps, return_counts=True)
    return int(values[counts.argmax()])
