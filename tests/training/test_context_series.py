"""Context series: how values are stored and imported, and where a training says that they are missing."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_examples import CPU, Recorder, Token, random_walk

from ktrdr.training.charts import known_at
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.pipeline import Charts, TrainingPipeline
from ktrdr.training.prices import resample
from ktrdr.training.prices import to_bytes as price_bytes
from ktrdr.training.progress import StageFinished, TrainingFailedError
from ktrdr.training.run import train
from ktrdr.training.saved_model import load as load_model
from ktrdr.training.series import from_bytes, read, to_bars, to_bytes, validate
from ktrdr.training.series_import import read_series
from ktrdr.training.specification import ContextReference, PriceReference, Specification
from ktrdr.training.strategy.parse import from_mapping


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def value_frame(values: list[float], freq: str = "D", start: str = "2020-01-01") -> pd.DataFrame:
    index = pd.date_range(start, periods=len(values), freq=freq, tz="UTC", name="time").as_unit("ns")
    return pd.DataFrame({"value": np.array(values, dtype="float64")}, index=index)


# --- the stored form ---


def test_values_are_stored_as_a_plain_npy_file_whose_digest_never_changes() -> None:
    frame = value_frame([0.0, -1.5, 4.25])
    data = to_bytes(frame)
    records = np.load(io.BytesIO(data), allow_pickle=False)
    assert records.dtype.names == ("time", "value")
    assert records["value"].tolist() == [0.0, -1.5, 4.25]
    assert hashlib.sha256(data).hexdigest() == "accbca3a73f5a4db233a1fb71759f6157e45317849b9442ad84a4357dea136fd"
    pd.testing.assert_frame_equal(from_bytes(data), frame, check_freq=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_every_series_comes_back_from_its_bytes(values: list[float]) -> None:
    data = to_bytes(value_frame(values))
    assert to_bytes(from_bytes(data)) == data


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (value_frame([1.0, np.nan]), "value: value is not a finite number in 1 row: row 1"),
        (value_frame([np.inf]), "value is not a finite number"),
        (value_frame([1.0, 2.0]).iloc[[0, 0]], "the time repeats the row before"),
        (value_frame([1.0, 2.0]).iloc[::-1], "the time is before the row above"),
        (value_frame([]), "there are no rows"),
        (random_walk(3), "the columns are open, high, low, close, volume (exactly value)"),
    ],
)
def test_what_is_no_series_is_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        validate(frame)
    assert message in str(caught.value)


def test_prices_and_values_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    values, prices = tmp_path / "values.npy", tmp_path / "prices.npy"
    values.write_bytes(to_bytes(value_frame([1.0])))
    prices.write_bytes(price_bytes(random_walk(3)))
    assert list(read(values, "series").columns) == ["value"]
    assert list(read(prices, "symbol").columns) == ["open", "high", "low", "close", "volume"]
    with pytest.raises(InvalidInputError, match="this is not a stored value series"):
        read(prices, "report")
    with pytest.raises(InvalidInputError, match="this is not a stored price series"):
        read(values, "symbol")
    with pytest.raises(InvalidInputError, match="import the series again"):
        read(values, "series", "0" * 64)


# --- import ---


def imported(text: str, frequency: str = "daily", **options: Any) -> pd.DataFrame:
    return read_series(text.encode(), name="DGS10", frequency=frequency, **options).frame


def test_a_file_of_a_provider_is_read_without_being_told_its_columns() -> None:
    text = "observation_date,DGS10\n2020-01-01,.\n2020-01-02,1.88\n2020-01-03,-1.80\n2020-01-06,\n2020-01-07,0\n"
    read_file = read_series(text.encode(), name="DGS10", frequency="daily")
    assert read_file.frame["value"].tolist() == [1.88, -1.8, 0.0]
    assert read_file.frame.index[0] == pd.Timestamp("2020-01-02", tz="UTC")
    assert read_file.notes == ["2 rows without a value are left out"]
    assert read_file.frequency == "1d"
    pd.testing.assert_frame_equal(
        read_series(gzip.compress(text.encode()), name="DGS10", frequency="1d").frame, read_file.frame
    )


def test_a_column_may_be_chosen() -> None:
    text = "Date;Long %;Short %\n2020-01-07;61,5;38,5\n2020-01-14;60;40\n"
    assert imported(text, "weekly", column="short %")["value"].tolist() == [38.5, 40.0]
    assert imported(text, "weekly", column="Long %")["value"].tolist() == [61.5, 60.0]


def test_prices_give_their_close() -> None:
    text = "Date,Open,High,Low,Close,Volume\n2020-01-01,1,3,1,2,9\n2020-01-02,2,4,2,3,9\n"
    assert imported(text)["value"].tolist() == [2.0, 3.0]


def test_parquet_and_months_and_the_newest_first_are_read(tmp_path: Path) -> None:
    frame = value_frame([3.0, 2.0, 1.0], "MS").iloc[::-1]
    frame.to_parquet(tmp_path / "cpi.parquet")
    read_file = read_series((tmp_path / "cpi.parquet").read_bytes(), name="CPI", frequency="monthly")
    assert read_file.frame["value"].tolist() == [3.0, 2.0, 1.0]
    assert "turned round" in read_file.notes[0]
    assert imported("month,v\n2020-01,1\n2020-02,2\n", "monthly", date_format="%Y-%m").index[1].month == 2
    assert len(imported("quarter,v\n2020-01-01,1\n2020-04-01,2\n2020-07-01,2\n", "quarterly")) == 3


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b,c\n1,2,3\n", {}, "no header with a time and a value is found: it begins with 'a,b,c'"),
        ("Date,Long,Short\n2020-01-01,1,2\n", {}, "no header with a time and a value is found"),
        ("Date,Long\n2020-01-01,1\n", {"column": "Short"}, "no header with a time and Short is found"),
        ("Date,V\n2020-01-01,x\n", {}, "value: value is not a number: line 2 ('x')"),
        ("Date,V\n2020-01-01,\n", {}, "value: no row has a value (a number in some rows)"),
        ("Date,V\n2020-01-01,1\n2020-01-01,2\n", {}, "the time repeats the row before in 1 row: line 3 (2020-01-01"),
        ("Date,V\n2020-01-01,1\n", {"frequency": "yearly"}, "frequency: 'yearly' is no frequency (one of 1m, 5m"),
        (
            # Known a day after its beginning, each month would be known four weeks too early.
            "Date,V\n2020-01-01,1\n2020-02-01,2\n",
            {"frequency": "daily"},
            "most values are 31 days, 0:00:00 apart, which contradicts the frequency '1d' (the frequency 1M)",
        ),
        ("Date,V\n2020-01-01,1\n2021-01-01,2\n", {"frequency": "daily"}, "most values are 366 days"),
    ],
)
def test_a_file_that_cannot_be_read_without_guessing_is_refused(
    text: str, options: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        imported(text, **options)
    assert message in str(caught.value)


# --- the training ---


STRATEGY = {
    "name": "context",
    "training_data": {"symbols": {"symbol": "AAA"}, "timeframes": {"list": ["1h", "1d"]}, "history_required": 50},
    "context_data": [
        {"provider": "fred", "series": "RATE", "frequency": "daily", "publication_lag": "12h"},
        {"provider": "broker", "symbol": "SPY", "frequency": "1h"},
    ],
    "indicators": {
        "rate": {"type": "roc", "period": 2, "data_source": "RATE"},
        "spy": {"type": "rsi", "data_source": "SPY"},
        "own": {"type": "rsi", "period": 3},
    },
    "fuzzy_sets": {"level": {"indicator": "rate", "low": [-50, -10, 0], "high": [0, 10, 50]}},
    "nn_inputs": [
        {"fuzzy_set": "level", "timeframes": "1h"},
        {"raw_indicator": "spy", "timeframes": "1h", "normalization": "zscore"},
        {"raw_indicator": "own", "timeframes": "all"},
    ],
    "model": {"type": "mlp", "hidden_layers": [4]},
    "decisions": {},
    "training": {"epochs": 1},
}
DATA = {
    "RATE": value_frame([1.0 + (day % 7) / 10 for day in range(200)], start="2019-11-01"),
    "SPY": random_walk(24 * 100, seed=5, start="2019-12-01"),
}


def load(data: Mapping[str, pd.DataFrame] = DATA, frame: pd.DataFrame | None = None, **dates: str) -> Charts:
    strategy = from_mapping(STRATEGY, **dates).strategy
    specification = Specification(
        strategy=strategy,
        prices=(PriceReference(symbol="AAA", timeframe="1h", digest="0" * 64),),
        seed=1,
        context=tuple(ContextReference(name=name, digest="1" * 64) for name in data),
    )
    prices = random_walk(24 * 60) if frame is None else frame
    return TrainingPipeline(specification, CPU).load_price_data(lambda _: prices, lambda one: data[one.name])["AAA"]


def test_of_every_chart_the_history_before_the_start_is_read() -> None:
    charts = load(start="2020-02-01", end="2020-02-10")
    hour, day, rate, spy = (charts[name] for name in ("1h", "1d", "RATE", "SPY"))
    assert (hour.index[0], hour.index[-1]) == (utc("2020-01-29 22:00"), utc("2020-02-10 23:00"))
    assert (day.index[0], day.index[-1]) == (utc("2020-01-01"), utc("2020-02-10"))
    # 50 days before February; the last value is that of the 9th, since that of the 10th is known on the 11th at noon.
    assert (rate.index[0], rate.index[-1]) == (utc("2019-12-13"), utc("2020-02-09"))
    assert (spy.index[0], spy.index[-1]) == (utc("2020-01-29 22:00"), utc("2020-02-10 23:00"))


def test_resampled_bars_before_the_start_are_made_of_all_data() -> None:
    frame = random_walk(24 * 120)
    whole, cut = load(frame=frame), load(frame=frame, start="2020-03-20 12:00")
    assert len(cut["1d"]) < len(whole["1d"])
    pd.testing.assert_frame_equal(cut["1d"], whole["1d"].loc[cut["1d"].index[0] :])


def test_dates_that_end_before_a_week_or_a_value_is_known_leave_charts_without_bars() -> None:
    charts = load({**DATA, "RATE": DATA["RATE"].loc["2020-03-01":]}, start="2020-01-02", end="2020-01-03")
    assert charts["RATE"].empty
    assert len(charts["1h"]) == 24 + 48


def test_bars_of_values_have_no_height_and_no_volume() -> None:
    strategy = from_mapping(STRATEGY).strategy
    bars = to_bars(strategy.context["RATE"], DATA["RATE"])
    assert (bars["high"] == bars["low"]).all()
    assert (bars["close"] == DATA["RATE"]["value"]).all()
    assert not bars["volume"].any()
    known = known_at(strategy, "RATE", bars)
    assert pd.Timestamp(known[0], tz="UTC") == utc("2019-11-02 12:00")


def test_missing_or_wrong_context_data_fails_with_its_name() -> None:
    with pytest.raises(TrainingFailedError, match="there is no data of the context series 'RATE'") as missing:
        load({"SPY": DATA["SPY"]})
    assert missing.value.where == "load_price_data, AAA"
    with pytest.raises(TrainingFailedError, match="the columns are open"):
        load({**DATA, "RATE": DATA["SPY"]})


def test_a_saved_model_predicts_from_shorter_bars_and_context_series_alone(tmp_path: Path) -> None:
    strategy = from_mapping(STRATEGY).strategy
    specification = Specification(
        strategy=strategy,
        prices=(PriceReference(symbol="AAA", timeframe="1h", digest="0" * 64),),
        seed=1,
        context=tuple(ContextReference(name=name, digest="1" * 64) for name in DATA),
    )
    frame = random_walk(24 * 60)
    recorder = Recorder()
    train(
        specification,
        read_prices=lambda _: frame,
        read_context=lambda one: DATA[one.name],
        output=tmp_path / "model",
        capabilities=CPU,
        progress_callback=recorder,
        cancellation_token=Token(),
    )
    loaded = recorder.of(StageFinished)[0].facts
    assert [(one["timeframe"], one.get("resampled_from")) for one in loaded["series"]] == [("1h", None), ("1d", "1h")]
    assert [one["name"] for one in loaded["context"]] == ["RATE", "SPY"]
    model = load_model(tmp_path / "model")
    assert model.context == specification.context
    predicted = model.predict(frame, DATA)
    days = resample(frame, "1h", "1d")
    pd.testing.assert_frame_equal(model.predict({"1h": frame, "1d": days}, DATA), predicted)
    assert predicted.index[-1] == frame.index[-1]
    assert predicted.index[0] == utc("2020-01-04 23:00")  # the fourth day gives the first RSI of three days
    with pytest.raises(InvalidInputError, match="there is no data of the context series 'SPY'"):
        model.predict(frame, {"RATE": DATA["RATE"]})
    with pytest.raises(InvalidInputError, match="there are no 1h prices"):
        model.predict({"1d": days}, DATA)
