"""The bundled prices and strategies: valid, as described, and good for a demonstration."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ktrdr import sample
from ktrdr.sample.convert import convert
from ktrdr.training.features import calculate_indicators, generate_memberships
from ktrdr.training.price_import import check_timeframe, read_prices
from ktrdr.training.prices import to_bytes
from ktrdr.training.strategy.parse import parse

NAMES = (
    "forward_return",
    "intraday_swing",
    "mean_reversion",
    "regime_finder",
    "sequence_reader",
    "trend_follower",
)
#: There are no hourly prices among the samples.
DAILY = [name for name in NAMES if name != "intraday_swing"]
SOURCE = (
    "Ticker,Date,Open,High,Low,Close,Volume,Adj Close\n"
    "A,2020-01-02,100,110,90,100,5000,25\n"
    "A,2020-01-03,100.123456789,100.2,100.1,100.123456789,6000,50.0617283945\n"
    "B,2020-01-02,3,3,3,3,0,1\n"
)


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return read_prices(sample.prices(), filename="prices.csv.gz").frames


def test_the_prices_can_be_imported_as_they_are(frames: dict[str, pd.DataFrame]) -> None:
    assert {symbol: len(frame) for symbol, frame in frames.items()} == {
        "AAPL": 3270,
        "FB": 196,
        "GOOG": 2148,
        "IBM": 3270,
        "MSFT": 3270,
    }
    assert {check_timeframe(frame) for frame in frames.values()} == {"1d"}
    assert all(to_bytes(frame) for frame in frames.values())


def test_the_prices_do_not_jump_where_a_share_was_split(frames: dict[str, pd.DataFrame]) -> None:
    splits = {"AAPL": ["2000-06-21", "2005-02-28"], "MSFT": ["2003-02-18"]}
    for symbol, days in splits.items():
        returns = frames[symbol]["close"].pct_change()
        assert all(abs(returns[day]) < 0.15 for day in days)


def test_the_samples_are_valid_and_named_after_their_files() -> None:
    assert tuple(sample.strategies()) == NAMES
    for name, text in sample.strategies().items():
        parsed = parse(text, strict=True)
        assert parsed.strategy.name == name


@pytest.mark.parametrize("name", DAILY)
def test_every_membership_of_a_sample_is_met_by_the_prices(name: str, frames: dict[str, pd.DataFrame]) -> None:
    strategy = parse(sample.strategies()[name]).strategy
    for symbol in strategy.data.symbols:
        memberships = generate_memberships(strategy, "1d", calculate_indicators(strategy, "1d", frames[symbol]))
        for words in memberships.values():
            for word, degrees in words.items():
                known = degrees[~np.isnan(degrees)]
                assert 0.2 < np.mean(known > 0.1) < 0.9, (symbol, word)


def test_the_conversion_adjusts_rounds_and_leaves_no_time_stamp() -> None:
    converted = convert(SOURCE.encode())
    assert gzip.decompress(converted).decode() == (
        "Symbol,Date,Open,High,Low,Close,Volume\n"
        "A,2020-01-02,25,27.5,22.5,25,5000\n"
        "A,2020-01-03,50.0617,50.1,50.05,50.0617,6000\n"
        "B,2020-01-02,1,1,1,1,0\n"
    )
    assert converted == convert(SOURCE.encode())
    assert converted[4:8] == bytes(4)


def test_the_provenance_names_the_digest_of_what_is_bundled() -> None:
    text = (Path(sample.__file__).parent / "PROVENANCE.md").read_text("utf-8")
    assert hashlib.sha256(gzip.decompress(sample.prices())).hexdigest() in text
