"""What a counterfactual is submitted with: the value of one cause, and the data that this value needs."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from jobs.job_builders import SUBMITTED
from strategies import short

from ktrdr.api.counterfactuals import chosen_causes, with_causes
from ktrdr.jobs.events import JobSubmitted
from ktrdr.submission.strategies import event_fields
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.strategy.parse import from_mapping

RATE = {"provider": "fred", "series": "RATE", "frequency": "daily", "publication_lag": "12h"}
SPY = {"provider": "broker", "symbol": "SPY", "frequency": "1d"}


def submitted(*context: dict[str, Any], digest: str, symbols: tuple[str, ...] = ("AAPL",), **timeframes: Any) -> Any:
    """A submission over these context series; `digest`: one digit for all of its data."""
    strategy = copy.deepcopy(short(2))
    if context:
        strategy["context_data"] = list(context)
    for number, series in enumerate(context):
        name = series.get("series") or series["symbol"]
        strategy["indicators"][f"context_{number}"] = {"type": "roc", "period": 2, "data_source": name}
        strategy["nn_inputs"].append({"raw_indicator": f"context_{number}", "timeframes": ["1d"]})
    parsed = from_mapping(strategy, symbols=list(symbols), **timeframes).strategy
    return replace(
        SUBMITTED,
        **event_fields(parsed),
        prices=tuple({"symbol": one, "timeframe": "1d", "digest": digest * 64} for one in symbols),
        context=tuple({"name": name, "digest": digest * 64} for name in parsed.context),
    )


def changed(a: JobSubmitted, b: JobSubmitted, path: str) -> JobSubmitted:
    return with_causes(a, b, chosen_causes(a, b, path))


def data_of(job: JobSubmitted) -> dict[str, str]:
    prices = {f"{one['symbol']} {one['timeframe']}": one["digest"][0] for one in job.prices}
    return prices | {one["name"]: one["digest"][0] for one in job.context}


def test_a_symbol_comes_with_its_prices_and_the_others_keep_theirs() -> None:
    a, b = submitted(digest="a"), submitted(digest="b", symbols=("IBM", "AAPL"))
    made = changed(a, b, "strategy.training_data.symbols.list")
    assert made.symbols == ("IBM", "AAPL")
    assert data_of(made) == {"IBM 1d": "b", "AAPL 1d": "a"}


def test_a_longer_timeframe_is_joined_from_the_prices_that_the_job_has() -> None:
    a, b = submitted(digest="a"), submitted(digest="b", timeframes=["1d", "1w"])
    made = changed(a, b, "strategy")
    assert made.timeframes == ("1d", "1w")
    assert data_of(made) == {"AAPL 1d": "a"}


def test_a_value_that_alone_has_no_effect_is_refused() -> None:
    a, b = submitted(digest="a"), submitted(digest="b", timeframes=["1d", "1w"])
    with pytest.raises(InvalidInputError, match="'1w' has no effect: no entry of nn_inputs reads it") as refused:
        changed(a, b, "strategy.training_data.timeframes.list")
    assert refused.value.faults[0].dotted == "strategy.training_data.timeframes.list[1]"


def test_a_context_series_of_another_frequency_comes_with_its_data_and_the_others_keep_theirs() -> None:
    a = submitted(RATE, SPY, digest="a")
    b = submitted(RATE | {"frequency": "weekly"}, SPY, digest="b")
    made = changed(a, b, "strategy.context_data[0].frequency")
    assert data_of(made) == {"AAPL 1d": "a", "RATE": "b", "SPY": "a"}


def test_context_series_that_only_the_other_job_has_come_with_all_that_reads_them() -> None:
    a, b = submitted(RATE, digest="a"), submitted(RATE, SPY, digest="b")
    with pytest.raises(InvalidInputError) as refused:
        changed(a, b, "strategy.context_data")
    assert refused.value.faults[0].dotted.startswith("strategy.context_data")  # nothing reads the second
    made = changed(a, b, "strategy")
    assert data_of(made) == {"AAPL 1d": "a", "RATE": "a", "SPY": "b"}
    assert made.strategy == b.strategy


def test_context_series_that_the_other_job_does_not_have_go() -> None:
    made = changed(submitted(RATE, digest="a"), submitted(digest="b"), "strategy")
    assert data_of(made) == {"AAPL 1d": "a"}


def test_one_digest_is_put_in_the_place_of_another() -> None:
    a, b = submitted(RATE, digest="a", symbols=("AAPL", "IBM")), submitted(RATE, digest="b", symbols=("AAPL", "IBM"))
    assert data_of(changed(a, b, "prices.AAPL.1d")) == {"AAPL 1d": "b", "IBM 1d": "a", "RATE": "a"}
    assert list(data_of(changed(a, b, "prices.AAPL.1d"))) == list(data_of(a))
    assert data_of(changed(a, b, "prices")) == {"AAPL 1d": "b", "IBM 1d": "b", "RATE": "a"}
    assert data_of(changed(a, b, "context.RATE")) == {"AAPL 1d": "a", "IBM 1d": "a", "RATE": "b"}


def test_prices_of_another_timeframe_are_added_and_taken_away() -> None:
    a = submitted(digest="a")
    shorter = {"symbol": "AAPL", "timeframe": "1h", "digest": "c" * 64}
    b = replace(a, prices=(shorter,))
    assert data_of(changed(a, b, "prices.AAPL")) == {"AAPL 1h": "c"}
    assert data_of(changed(a, b, "prices.AAPL.1h")) == {"AAPL 1d": "a", "AAPL 1h": "c"}


def test_a_key_that_the_other_job_does_not_have_goes() -> None:
    a = submitted(digest="a")
    b = replace(a, strategy={key: value for key, value in a.strategy.items() if key != "hypothesis"})
    made = changed(a, b, "strategy.hypothesis")
    assert made.strategy == b.strategy


def test_the_submission_that_was_changed_is_as_it_was() -> None:
    a, b = submitted(digest="a"), replace(submitted(digest="a"), seed=8)
    before = copy.deepcopy(dict(a.strategy))
    later = copy.deepcopy(dict(b.strategy))
    later["training"]["epochs"] = 9
    made = changed(a, replace(b, strategy=later), "strategy.training.epochs")
    assert made.strategy["training"]["epochs"] == 9
    assert (dict(a.strategy), made.seed) == (before, a.seed)
