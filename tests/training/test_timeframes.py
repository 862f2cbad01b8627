"""When bars close, which one was the last to close, and longer bars made of shorter ones."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_examples import random_walk

from ktrdr.training.prices import resample
from ktrdr.training.strategy.model import TIMEFRAMES
from ktrdr.training.timeframes import closes, last_closed, periods, source_of, sources

#: The same periods in the words of pandas.
OFFSETS = {"30m": "30min", "1h": "h", "2h": "2h", "4h": "4h", "1d": "D", "1w": "W-MON", "1M": "MS"}


def ns(*texts: str) -> np.ndarray:
    return np.array(texts, "M8[ns]").view(np.int64)


def texts(moments: np.ndarray) -> list[str]:
    return [str(moment)[:16] for moment in moments.view("M8[ns]")]


@pytest.mark.parametrize(
    ("timeframe", "opens", "closed"),
    [
        ("1m", "2024-02-29T23:59", "2024-03-01T00:00"),
        ("4h", "2024-02-29T20:00", "2024-03-01T00:00"),
        ("1d", "2024-02-29T00:00", "2024-03-01T00:00"),
        ("1w", "2024-02-26T00:00", "2024-03-04T00:00"),
        ("1M", "2024-02-01T00:00", "2024-03-01T00:00"),
        ("1M", "2023-12-01T05:00", "2024-01-01T05:00"),  # midnight in New York
        ("1Q", "2024-10-01T00:00", "2025-01-01T00:00"),
        # A February that opens in January, as east of Greenwich, or on a first trading day, ends later than either.
        ("1M", "2024-01-31T22:00", "2024-03-02T22:00"),
        ("1M", "2024-01-02T00:00", "2024-02-02T00:00"),
        ("1Q", "2024-01-02T00:00", "2024-04-03T00:00"),
    ],
)
def test_a_bar_closes_when_its_time_is_over(timeframe: str, opens: str, closed: str) -> None:
    assert texts(closes(ns(opens), timeframe)) == [closed]


def test_no_bar_closes_before_the_one_before_it() -> None:
    assert texts(closes(ns("2024-01-31T12:00", "2024-02-01T00:00"), "1M")) == ["2024-03-02T12:00", "2024-03-02T12:00"]


def test_a_daily_bar_is_not_visible_on_its_own_day() -> None:
    daily = closes(ns("2024-05-01", "2024-05-02"), "1d")
    hours = closes(ns("2024-05-01T12:00", "2024-05-01T22:00", "2024-05-01T23:00", "2024-05-02T22:00"), "1h")
    assert last_closed(daily, hours).tolist() == [-1, -1, 0, 0]


def test_a_week_is_visible_from_monday_on_and_a_month_from_the_first() -> None:
    hours = closes(ns("2024-05-05T22:00", "2024-05-05T23:00"), "1h")  # Sunday
    assert last_closed(closes(ns("2024-04-29"), "1w"), hours).tolist() == [-1, 0]
    hours = closes(ns("2024-05-31T22:00", "2024-05-31T23:00"), "1h")
    assert last_closed(closes(ns("2024-05-01"), "1M"), hours).tolist() == [-1, 0]


@settings(max_examples=60, deadline=None)
@given(
    timeframe=st.sampled_from(TIMEFRAMES),
    base=st.sampled_from(TIMEFRAMES),
    steps=st.lists(st.integers(1, 100_000), min_size=1, max_size=30),
    rows=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=30),
)
def test_a_row_sees_the_last_bar_that_closed_by_then(
    timeframe: str, base: str, steps: list[int], rows: list[int]
) -> None:
    minute = 60 * 10**9
    opens = np.cumsum(np.array(steps)) * minute
    closing = closes(opens, timeframe)
    moments = closes(np.unique(np.array(rows)) * minute, base)
    slow = [max((bar for bar in range(len(opens)) if closing[bar] <= moment), default=-1) for moment in moments]
    assert last_closed(closing, moments).tolist() == slow


def test_months_are_not_made_of_weeks_while_there_are_days() -> None:
    assert sources("1M")[:2] == ("1d", "4h")
    assert sources("1M")[-1] == "1w"
    assert sources("1w")[0] == "1d"
    assert sources("1m") == ()


@pytest.mark.parametrize(
    ("timeframe", "available", "source"),
    [
        ("1d", {"1h", "1d"}, "1d"),
        ("1d", {"1h", "4h", "1w"}, "4h"),
        ("1M", {"1w", "5m"}, "5m"),
        ("1M", {"1w"}, "1w"),
        ("1h", {"4h"}, None),
    ],
)
def test_a_timeframe_is_its_own_source_or_else_the_longest_shorter_one(
    timeframe: str, available: set[str], source: str | None
) -> None:
    assert source_of(timeframe, available) == source


def real(freq: str) -> pd.DataFrame:
    source = resources.files("mintalib") / "samples" / f"{freq}-prices.csv"
    with source.open() as file:
        frame = pd.read_csv(file, index_col=0).astype("float64")
    return frame.set_axis(pd.to_datetime(frame.index, utc=True).as_unit("ns").rename("time"))


@pytest.mark.parametrize(
    ("freq", "source", "timeframe"),
    [
        ("hourly", "1h", "4h"),
        ("hourly", "1h", "1d"),
        ("hourly", "1h", "1w"),
        ("hourly", "1h", "1M"),
        ("daily", "1d", "1w"),
        ("daily", "1d", "1M"),
        ("minute", "1m", "30m"),
        ("minute", "1m", "2h"),
    ],
)
def test_real_prices_resampled_are_those_of_pandas(freq: str, source: str, timeframe: str) -> None:
    frame = real(freq)
    made = resample(frame, source, timeframe)
    # Bars of New York open at half past: each goes into the bar in which it closes.
    length = {"1h": "1h", "1d": "1D", "1m": "1min"}[source]
    closing = frame.set_axis(frame.index + pd.Timedelta(length) - pd.Timedelta("1ns"))
    joined = closing.resample(OFFSETS[timeframe], closed="left", label="left").agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    joined = joined.dropna(subset=["open"]).rename_axis("time")
    pd.testing.assert_frame_equal(made, joined, check_freq=False, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    source=st.sampled_from(TIMEFRAMES[:-1]),
    timeframe=st.sampled_from(TIMEFRAMES),
    gaps=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    offset=st.integers(0, 59),
    seed=st.integers(0, 99),
)
def test_a_longer_bar_holds_the_shorter_ones_that_close_within_it(
    source: str, timeframe: str, gaps: list[int], offset: int, seed: int
) -> None:
    if TIMEFRAMES.index(source) >= TIMEFRAMES.index(timeframe):
        return
    minute = 60 * 10**9
    step = int(closes(np.zeros(1, np.int64), source)[0])
    frame = random_walk(len(gaps), seed=seed)
    index = pd.DatetimeIndex((np.cumsum(gaps) * step + offset * minute).view("M8[ns]"), name="time")
    frame.index = index.tz_localize("UTC")
    made = resample(frame, source, timeframe)
    opens = made.index.as_unit("ns").asi8
    assert opens.tolist() == periods(opens, timeframe).tolist()
    taken = 0
    for row, (begin, end) in enumerate(zip(opens, closes(opens, timeframe), strict=True)):
        of_bar = [bar for bar in range(len(frame)) if begin < index.asi8[bar] + step <= end]
        part = frame.iloc[of_bar]
        expected = [part["open"].iloc[0], part["high"].max(), part["low"].min(), part["close"].iloc[-1]]
        assert made.iloc[row, :4].tolist() == expected
        assert made["volume"].iloc[row] == pytest.approx(part["volume"].sum())
        taken += len(part)
    assert taken == len(frame)
