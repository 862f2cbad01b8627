"""Every label source with parameters, and what the tests of labels label with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from training_examples import TRIPLE_BARRIER, bars, random_walk

from ktrdr import sample
from ktrdr.training.labels import BarLabels, label_bars
from ktrdr.training.price_import import read_prices
from ktrdr.training.strategy.model import Labels

REGIME: dict[str, Any] = {
    "macro_atr_mult": 3.0,
    "micro_atr_mult": 1.0,
    "atr_period": 5,
    "vol_lookback": 20,
    "vol_crisis_threshold": 1.3,
    "progression_tolerance": 0.5,
}

#: Source → parameters: every source, and every one that a parameter changes from the ground up.
SOURCES: list[tuple[str, dict[str, Any]]] = [
    ("zigzag", {"zigzag_threshold": 0.02}),
    ("forward_return", {"horizon": 7}),
    ("context", {"horizon": 5, "bullish_threshold": 0.005, "bearish_threshold": -0.005}),
    ("triple_barrier", TRIPLE_BARRIER),
    ("triple_barrier", TRIPLE_BARRIER | {"vol_method": "close"}),
    ("triple_barrier", TRIPLE_BARRIER | {"cusum_threshold": 0.01}),
    ("triple_barrier", TRIPLE_BARRIER | {"cusum_threshold": 0.0, "cusum_multiplier": 1.0}),
    ("regime", REGIME),
]


def labelled(frame: pd.DataFrame, source: Any, fit_on: slice | None = None, **params: Any) -> BarLabels:
    """The labels of a price frame; parameters are estimated on its first 70 % unless told otherwise."""
    chosen = slice(0, int(0.7 * len(frame))) if fit_on is None else fit_on
    return label_bars(Labels(source=source, params=params), bars(frame), chosen)


def from_closes(*closes: float) -> pd.DataFrame:
    """Bars that are one price each."""
    frame = random_walk(len(closes))
    for column in ("open", "high", "low", "close"):
        frame[column] = np.array(closes, dtype=float)
    return frame


def changing_volatility(*stretches: tuple[int, float], seed: int = 0) -> pd.DataFrame:
    """A random walk of stretches, each of so many bars and of a volatility of its own."""
    frame = random_walk(sum(count for count, _ in stretches))
    first, price = 0, 100.0
    for number, (count, volatility) in enumerate(stretches):
        stretch = random_walk(count, seed=seed + number, volatility=volatility).iloc[:, :4] * price / 100.0
        frame.iloc[first : first + count, :4] = stretch
        first, price = first + count, stretch["close"].iloc[-1]
    return frame


def real_prices(symbol: str = "AAPL") -> pd.DataFrame:
    """Daily bars of the bundled sample."""
    return read_prices(sample.prices(), filename="prices.csv.gz").frames[symbol]


def plain_pivots(close: list[float], threshold: float) -> tuple[list[int], list[int]]:
    """Bar by bar: the last pivot moves with its leg until the price turns back by the threshold.

    Positions of the pivots, and of the bars that confirmed them; the last one is confirmed by nothing but the end.
    """
    pivots, confirmed, rising = [0], [0], None
    for i, price in enumerate(close):
        last = close[pivots[-1]]
        if rising is None:
            if price >= last * (1 + threshold) or price <= last * (1 - threshold):
                rising = price > last
                pivots.append(i)
        elif (price > last) if rising else (price < last):
            pivots[-1] = i
        elif (price <= last * (1 - threshold)) if rising else (price >= last * (1 + threshold)):
            rising = not rising
            pivots.append(i)
            confirmed.append(i)
    return pivots, confirmed if len(pivots) == 1 else [*confirmed, len(close) - 1]
