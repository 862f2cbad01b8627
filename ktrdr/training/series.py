"""Context series: values from elsewhere by time, how they are stored, and as bars for indicators. Imports the records.

A value series has the one float64 column `value` and a UTC index `time`, the instant at which the period begins that
the value is of. Values are finite, and may be 0 or negative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ktrdr.training import prices, records
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.records import Broken, RowName
from ktrdr.training.strategy.model import ContextSeries

COLUMNS = ("value",)


def validate(frame: pd.DataFrame, *, row_name: RowName | None = None) -> None:
    """Raises `InvalidInputError` unless `frame` is a value series; see `ktrdr.training.records.validate`."""
    records.validate(frame, COLUMNS, _rules, row_name)


def to_bytes(frame: pd.DataFrame) -> bytes:
    """The stored form of a value series. Raises `InvalidInputError` when it is none."""
    validate(frame)
    return records.to_bytes(frame, COLUMNS)


def from_bytes(data: bytes) -> pd.DataFrame:
    """The value series stored in `data`. Raises `InvalidInputError` when they are not the canonical bytes of one."""
    frame = records.from_bytes(data, COLUMNS)
    if frame is None:
        problem = "this is not a stored value series: its header or length differs from the canonical .npy form"
        raise InvalidInputError([Fault((), problem, "import the series again")])
    validate(frame)
    return frame


def read(path: Path, kind: str, expected_digest: str | None = None) -> pd.DataFrame:
    """The stored data of a context series of this kind: of a symbol its price frame, else a value series.

    Raises `InvalidInputError` when the file is something else, or when its digest is not the expected one.
    """
    if kind == "symbol":
        return prices.read(path, expected_digest)
    return from_bytes(records.read_file(path, expected_digest, "series"))


def to_bars(context: ContextSeries, frame: pd.DataFrame) -> pd.DataFrame:
    """The bars that indicators are computed on: the prices of a symbol; of a value, bars of no height and no volume.

    Raises `InvalidInputError` when `frame` is not the data of such a series.
    """
    if context.kind == "symbol":
        prices.validate(frame)
        return frame
    validate(frame)
    value = frame["value"]
    return pd.DataFrame({name: 0.0 if name == "volume" else value for name in prices.COLUMNS})


def _rules(arrays: Mapping[str, NDArray[np.float64]]) -> Iterator[Broken]:
    yield "value is not a finite number", "a number in every row", ("value",), ~np.isfinite(arrays["value"])
