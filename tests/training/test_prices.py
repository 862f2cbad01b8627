"""The price frame: what is refused and in which words, and the bytes in which it is stored."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from price_examples import price_frame

from ktrdr.training.faults import InvalidInputError
from ktrdr.training.prices import describe, digest, from_bytes, infer_timeframe, read, to_bytes, validate


def faults_of(frame: pd.DataFrame) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        validate(frame)
    return [str(fault) for fault in caught.value.faults]


def with_value(row: int, column: str, value: float) -> pd.DataFrame:
    frame = price_frame()
    frame.iloc[row, frame.columns.get_loc(column)] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            with_value(1, "high", 10.5),
            [
                "open: open is above high in 1 row: row 1 (2020-01-02 00:00:00+00:00), open 11, high 10.5 (low <=",
                "close: close is above high in 1 row: row 1 (2020-01-02 00:00:00+00:00), close 11, high 10.5 (low <= o",
            ],
        ),
        (
            with_value(2, "volume", -1),
            ["volume: volume is not 0 or more in 1 row: row 2 (2020-01-03 00:00:00+00:00), volume -1 (a fin"],
        ),
        (
            with_value(0, "close", float("nan")),
            ["close: close is not a positive number in 1 row: row 0 (2020-01-01 00:00:00+00:00), close nan (fin"],
        ),
        (
            with_value(0, "open", float("inf")),
            ["open: open is not a positive number in 1 row", "open: open is above high"],
        ),
        (with_value(0, "low", 0), ["low: low is not a positive number in 1 row"]),
        (
            price_frame()[["close", "open", "high", "low", "volume"]],
            ["the columns are close, open, high, low, volume (exactly open,"],
        ),
        (price_frame().astype({"volume": "int64"}), ["volume: the column volume holds int64, not float64 (numbers)"]),
        (price_frame().tz_localize(None), ["time: the index is not a UTC DatetimeIndex named time"]),
        (price_frame().tz_convert("Asia/Tokyo"), ["time: the index is not a UTC DatetimeIndex named time"]),
        (price_frame().rename_axis("date"), ["time: the index is not a UTC DatetimeIndex named time"]),
        (price_frame().reset_index(drop=True), ["time: the index is not a UTC DatetimeIndex named time"]),
        (price_frame(0), ["there are no rows (at least one bar)"]),
        (
            price_frame().iloc[[0, 1, 1, 3]],
            ["time: the time repeats the row before in 1 row: row 2 (2020-01-02 00:00:00+00:00) (one row"],
        ),
        (
            price_frame().iloc[[0, 2, 1, 3]],
            ["time: the time is before the row above in 1 row: row 2 (2020-01-02 00:00:00+00:00) (the old"],
        ),
    ],
    ids=range(14),
)
def test_a_frame_that_breaks_a_rule_is_refused_with_its_rows(frame: pd.DataFrame, expected: list[str]) -> None:
    assert [fault[: len(words)] for fault, words in zip(faults_of(frame), expected, strict=True)] == expected


def test_a_time_that_cannot_be_stored_is_refused() -> None:
    frame = price_frame(1)
    frame.index = pd.DatetimeIndex(np.array(["3000-01-01"], "M8[s]"), name="time").tz_localize("UTC")
    assert faults_of(frame) == ["time: a time lies before 1678 or after 2261 (times of real bars)"]


def test_only_the_first_ten_rows_are_listed() -> None:
    frame = price_frame(30)
    frame["low"] = 0.0
    (fault,) = faults_of(frame)
    assert fault.startswith("low: low is not a positive number in 30 rows: row 0 (2020-01-01")
    assert "row 9 (" in fault
    assert "row 10 (" not in fault
    assert "; and 20 more (" in fault


def test_the_stored_form_is_a_plain_npy_file_whose_digest_is_that_of_sha256sum(tmp_path: Path) -> None:
    frame = price_frame(3)
    data = to_bytes(frame)
    path = tmp_path / "prices.npy"
    path.write_bytes(data)
    assert digest(data) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest(data) == "48f4fd945d4cd930200e6d50eba796ccc0f9964cae46cc9855eba71ec4615223"
    records = np.load(path, allow_pickle=False)
    assert records.dtype.names == ("time", "open", "high", "low", "close", "volume")
    assert records["time"][1] == datetime(2020, 1, 2, tzinfo=UTC).timestamp() * 1e9
    again = io.BytesIO()
    np.lib.format.write_array(again, records, version=(1, 0))
    assert again.getvalue() == data


def test_equal_prices_give_equal_bytes_whatever_the_unit_of_their_times() -> None:
    frame = price_frame()
    assert len({to_bytes(frame.set_axis(frame.index.as_unit(unit))) for unit in ("s", "ms", "us", "ns")}) == 1


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-(2**60), 2**61), min_size=1, max_size=20, unique=True),
    st.floats(1e-300, 1e300),
    st.floats(0, 1e300),
)
def test_every_frame_comes_back_from_its_bytes(times: list[int], price: float, volume: float) -> None:
    index = pd.DatetimeIndex(np.sort(np.array(times)).astype("M8[ns]"), name="time").tz_localize("UTC")
    frame = pd.DataFrame({"open": price, "high": price, "low": price, "close": price, "volume": volume}, index=index)
    data = to_bytes(frame)
    pd.testing.assert_frame_equal(from_bytes(data), frame)
    assert to_bytes(from_bytes(data)) == data


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    data = to_bytes(price_frame())
    path = tmp_path / "prices.npy"
    path.write_bytes(data)
    pd.testing.assert_frame_equal(read(path, digest(data)), from_bytes(data))
    path.write_bytes(data[:-8] + np.float64(101.0).tobytes())
    with pytest.raises(InvalidInputError, match=f"not {digest(data)}"):
        read(path, digest(data))
    assert read(path)["volume"].iloc[-1] == 101.0


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d[:-1],
        lambda d: d + b"x",
        lambda d: d[:192],
        lambda d: b"",
        lambda d: d.replace(b"<f8", b">f8"),
        lambda d: d.replace(b"\x01\x00", b"\x02\x00", 1),
    ],
)
def test_other_bytes_are_refused(change) -> None:
    with pytest.raises(InvalidInputError, match="this is not a stored price series"):
        from_bytes(change(to_bytes(price_frame())))


@settings(max_examples=100, deadline=None)
@given(st.integers(192, 192 + 4 * 48 - 1), st.integers(0, 255))
def test_damaged_records_are_read_as_they_are_or_refused_as_prices(position: int, byte: int) -> None:
    data = bytearray(to_bytes(price_frame()))
    data[position] = byte
    with suppress(InvalidInputError):
        assert to_bytes(from_bytes(bytes(data))) == bytes(data)


@pytest.mark.parametrize(
    ("freq", "timeframe"),
    [
        ("min", "1m"),
        ("5min", "5m"),
        ("h", "1h"),
        ("4h", "4h"),
        ("D", "1d"),
        ("B", "1d"),
        ("W", "1w"),
        ("MS", "1M"),
        ("3min", None),
        ("s", None),
    ],
)
def test_the_timeframe_is_the_most_common_spacing(freq: str, timeframe: str | None) -> None:
    assert infer_timeframe(price_frame(40, freq)) == timeframe


def test_one_bar_alone_shows_no_timeframe() -> None:
    assert infer_timeframe(price_frame(1)) is None


def test_a_description_counts_what_is_missing() -> None:
    seen = describe(price_frame(10, "B"))
    assert (seen.rows, seen.timeframe, seen.gaps, seen.longest_gap) == (10, "1d", 2, timedelta(days=3))
    assert (seen.first, seen.last) == (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 14, tzinfo=UTC))
    assert describe(price_frame(24, "MS")).gaps == 0
    assert describe(price_frame(1)).longest_gap == timedelta(0)
