"""Several timeframes and context series through the whole system: import, submission, training, prediction."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from running_service import RunningService

HOURS = 24 * 90


@pytest.fixture(scope="module")
def charts(service: RunningService) -> RunningService:
    """The service with hours of two symbols, and values of two series."""
    random = np.random.default_rng(1)
    start = np.datetime64("2023-01-02T00", "h")
    for symbol in ("HHH", "III"):
        rows = ["time,open,high,low,close,volume"]
        for hour, close in enumerate(100 * np.exp(np.cumsum(random.normal(0, 0.01, HOURS)))):
            rows.append(f"{start + hour}:00,{close},{close * 1.01},{close * 0.99},{close},{random.integers(1, 99)}")
        service.client.import_prices("\n".join(rows).encode(), filename=f"{symbol}.csv")
    days = [f"{start + 24 * day}:00,{random.normal()}" for day in range(-30, 90)]
    service.client.import_series(
        "\n".join(["Date,Value", *days]).encode(), filename="rate.csv", series="RATE", frequency="daily"
    )
    return service


def strategy(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "name": "charts",
        "training_data": {
            "symbols": {"list": ["HHH", "III"]},
            "timeframes": {"mode": "multi_timeframe", "list": ["1h", "4h", "1d"]},
            "history_required": 50,
        },
        "context_data": [
            {"provider": "fred", "series": "RATE", "frequency": "daily", "publication_lag": "12h"},
            {"provider": "broker", "symbol": "III", "frequency": "1h"},
        ],
        "indicators": {
            "rsi": {"type": "rsi", "period": 5},
            "rate": {"type": "sma", "period": 3, "data_source": "RATE"},
            "other": {"type": "roc", "period": 5, "data_source": "III"},
        },
        "fuzzy_sets": {"strength": {"indicator": "rsi", "low": [0, 0, 50], "high": [50, 100, 100]}},
        "nn_inputs": [
            {"fuzzy_set": "strength", "timeframes": "all"},
            {"raw_indicator": "rate", "timeframes": "1h", "normalization": "minmax"},
            {"raw_indicator": "other", "timeframes": "1h"},
        ],
        "model": {
            "type": "mlp",
            "hidden_layers": [4],
            "features": {"lookback_periods": 2, "include_price_context": True, "scale_features": True},
        },
        "decisions": {"output_format": "classification"},
        "training": {"epochs": 1},
    }
    return whole | changes


@pytest.fixture(scope="module")
def finished(charts: RunningService) -> dict[str, Any]:
    return dict(charts.wait_for(charts.client.submit(strategy(), seed=3)["id"], "completed"))


def test_the_first_event_names_the_data_that_exists(charts: RunningService, finished: dict[str, Any]) -> None:
    submission = finished["submission"]
    assert [(one["symbol"], one["timeframe"]) for one in submission["prices"]] == [("HHH", "1h"), ("III", "1h")]
    assert [one["name"] for one in submission["context"]] == ["RATE", "III"]
    assert submission["context"][1]["digest"] == submission["prices"][1]["digest"]
    values = np.load(io.BytesIO(charts.http.get(f"/prices/{submission['context'][0]['digest']}").content))
    assert (values.dtype.names, len(values)) == (("time", "value"), 120)


def test_the_training_says_what_it_made_of_the_data(charts: RunningService, finished: dict[str, Any]) -> None:
    facts = {
        event["data"]["name"]: event["data"]["facts"]
        for event in charts.client.events(finished["id"])
        if event["type"] == "StageFinished"
    }
    series = {(one["symbol"], one["timeframe"]): one for one in facts["load_price_data"]["series"]}
    assert series["HHH", "1d"]["bars"] == 90
    assert series["HHH", "1d"]["resampled_from"] == "1h"
    assert "resampled_from" not in series["HHH", "1h"]
    # The last value is published after the last bar.
    assert [one["bars"] for one in facts["load_price_data"]["context"]] == [119, HOURS]
    # 6 memberships, 2 raw columns, 3 times 3 of price context; now and at two rows before.
    assert facts["split_data"]["features"] == (6 + 2 + 9) * 3


@pytest.mark.usefixtures("host_worker")
def test_a_host_worker_fetches_the_context_and_trains_the_same_model(
    charts: RunningService, finished: dict[str, Any]
) -> None:
    job_id = charts.client.submit(strategy(), seed=3, target="host")["id"]
    assert charts.wait_for(job_id, "completed")["result"] == finished["result"]


def test_a_model_predicts_from_stored_data_and_from_bars_alike(
    charts: RunningService, finished: dict[str, Any]
) -> None:
    stored = charts.client.predict(finished["id"], symbol="HHH", last=5)
    assert [row["time"][:16] for row in stored][-1] == "2023-04-01T23:00"
    table = np.load(io.BytesIO(charts.http.get(f"/prices/{finished['submission']['prices'][0]['digest']}").content))
    bars = [
        {"time": str(np.datetime64(int(row["time"]), "ns"))}
        | {name: float(row[name]) for name in ("open", "high", "low", "close", "volume")}
        for row in table
    ]
    assert charts.client.predict(finished["id"], bars=bars, last=5) == stored


def test_data_that_was_not_imported_is_named_with_the_command_that_imports_it(charts: RunningService) -> None:
    series = [
        {"provider": "fred", "series": "RATE", "frequency": "weekly"},
        {"provider": "broker", "symbol": "SPX", "frequency": "1d"},
    ]
    indicators = {"rate": {"type": "sma", "data_source": "RATE"}, "other": {"type": "roc", "data_source": "SPX"}}
    asked = strategy(context_data=series)
    asked["indicators"] |= indicators
    answer = charts.http.post("/jobs", json={"strategy": asked, "symbols": ["HHH", "NONE"]})
    assert answer.status_code == 422
    errors = {error["path"]: (error["detail"], error.get("fix", "")) for error in answer.json()["errors"]}
    assert set(errors) == {
        "symbols[1]",
        "strategy.indicators.rate.data_source",
        "strategy.indicators.other.data_source",
    }
    detail, fix = errors["strategy.indicators.rate.data_source"]
    assert detail == "the context series 'RATE' has not been imported with the frequency 1w"
    assert fix == "import it with: ktrdr data import FILE --series RATE --frequency 1w; imported are: 1d"
    assert "--symbol SPX" in errors["strategy.indicators.other.data_source"][1]
    # The file itself is right.
    assert charts.http.post("/strategies", json={"strategy": asked}).json()["valid"]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"series": "X"}, "frequency"),
        ({"series": "X", "frequency": "daily", "symbol": "Y"}, "symbol"),
        ({"series": "X", "frequency": "daily", "adjust": "true"}, "adjust"),
        ({"series": "X", "frequency": "yearly"}, "frequency"),
        ({"series": "a b", "frequency": "daily"}, "series"),
        ({"frequency": "daily"}, "frequency"),
        ({"column": "x"}, "column"),
    ],
)
def test_an_import_that_means_two_things_is_refused(service: RunningService, query: dict[str, str], path: str) -> None:
    answer = service.http.put("/datasets", params=query, content=b"Date,Value\n2024-01-01,1\n2024-01-02,2\n")
    assert answer.status_code == 422
    assert path in [error["path"] for error in answer.json()["errors"]]
