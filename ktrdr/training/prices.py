"""Price frames: what one must be, how it is stored, and how longer bars are made of shorter ones. Imports the records.

A price frame has the float64 columns open, high, low, close and volume and a UTC index `time`, the instant at which
each bar opens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ktrdr.training import records
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.records import Broken, RowName, digest, nanoseconds
from ktrdr.training.strategy.model import TIMEFRAMES
from ktrdr.training.timeframes import closes, periods, usual_minutes

__all__ = ["COLUMNS", "RowName", "describe", "digest", "from_bytes", "infer_timeframe", "read", "resample", "spacing",
           "to_bytes", "validate"]  # fmt: skip

COLUMNS = ("open", "high", "low", "close", "volume")


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
    """Raises `InvalidInputError` unless `frame` is a price frame; see `ktrdr.training.records.validate`."""
    records.validate(frame, COLUMNS, _rules, row_name)


def to_bytes(frame: pd.DataFrame) -> bytes:
    """The stored form of a price frame. Raises `InvalidInputError` when it is none."""
    validate(frame)
    return records.to_bytes(frame, COLUMNS)


def from_bytes(data: bytes) -> pd.DataFrame:
    """The price frame stored in `data`. Raises `InvalidInputError` when they are not the canonical bytes of one."""
    frame = records.from_bytes(data, COLUMNS)
    if frame is None:
        problem = "this is not a stored price series: its header or length differs from the canonical .npy form"
        raise InvalidInputError([Fault((), problem, "import the prices again")])
    validate(frame)
    return frame


def read(path: Path, expected_digest: str | None = None) -> pd.DataFrame:
    """The price frame in the file at `path`.

    Raises `InvalidInputError` when the file is no stored price series, or when its digest is not the expected one.
    """
    return from_bytes(records.read_file(path, expected_digest, "prices"))


def resample(frame: pd.DataFrame, source: str, timeframe: str) -> pd.DataFrame:
    """The bars of a longer timeframe, made of those of `source`; times without any bar get none.

    Each bar goes into the one in which it *closes*. For bars of midnight and full hours that is the one in which it
    opens; one that reaches over the end of a longer bar would otherwise put prices into it from after its end.
    """
    times = nanoseconds(frame.index)
    opens = periods(closes(times, source) - 1, timeframe)
    first = np.flatnonzero(np.diff(opens, prepend=opens[0] - 1))
    last = np.append(first[1:], len(opens)) - 1
    columns = {name: frame[name].to_numpy() for name in COLUMNS}
    joined = {
        "open": columns["open"][first],
        "high": np.maximum.reduceat(columns["high"], first),
        "low": np.minimum.reduceat(columns["low"], first),
        "close": columns["close"][last],
        "volume": np.add.reduceat(columns["volume"], first),
    }
    index = pd.DatetimeIndex(opens[first].view("M8[ns]"), name="time").tz_localize("UTC")
    return pd.DataFrame(joined, index=index, copy=False)


def infer_timeframe(frame: pd.DataFrame) -> str | None:
    """The timeframe whose spacing is the most common; None when there is no such timeframe, or only one bar."""
    if len(frame) < 2:
        return None
    minutes, rest = divmod(spacing(frame), timedelta(minutes=1))
    return next((timeframe for timeframe in TIMEFRAMES if not rest and minutes in usual_minutes(timeframe)), None)


def spacing(frame: pd.DataFrame) -> timedelta:
    """The most common time from one bar to the next; the frame has at least two."""
    return timedelta(microseconds=_most_common(np.diff(nanoseconds(frame.index))) // 1000)


def describe(frame: pd.DataFrame) -> Description:
    """The extent of a price frame."""
    steps = np.diff(nanoseconds(frame.index))
    timeframe = infer_timeframe(frame)
    usual = usual_minutes("1M").stop * 60_000_000_000 if timeframe == "1M" else _most_common(steps) if len(steps) else 0
    return Description(
        rows=len(frame),
        first=frame.index[0].to_pydatetime(),
        last=frame.index[-1].to_pydatetime(),
        timeframe=timeframe,
        gaps=int((steps > usual).sum()),
        longest_gap=timedelta(microseconds=int(steps.max()) // 1000) if len(steps) else timedelta(0),
    )


def _rules(arrays: Mapping[str, NDArray[np.float64]]) -> Iterator[Broken]:
    for column in COLUMNS[:4]:
        wrong = ~(np.isfinite(arrays[column]) & (arrays[column] > 0))
        yield f"{column} is not a positive number", "finite prices above 0", (column,), wrong
    wrong = ~(np.isfinite(arrays["volume"]) & (arrays["volume"] >= 0))
    yield "volume is not 0 or more", "a finite volume", ("volume",), wrong
    for low, high in (("low", "open"), ("low", "close"), ("open", "high"), ("close", "high")):
        yield f"{low} is above {high}", "low <= open, close <= high", (low, high), arrays[low] > arrays[high]


def _most_common(steps: NDArray[np.int64]) -> int:
    values, counts = np.unique(steps, return_counts=True)
    return int(values[counts.argmax()])
