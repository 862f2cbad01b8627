"""Small strategies, price frames and specifications for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ktrdr.training.device_manager import DeviceCapabilities
from ktrdr.training.indicators import REGISTRY, Bars
from ktrdr.training.progress import Progress
from ktrdr.training.specification import PriceReference, Specification
from ktrdr.training.strategy.model import (
    CostModel,
    Decisions,
    FuzzySet,
    Indicator,
    Input,
    Labels,
    Loss,
    Membership,
    Mlp,
    Model,
    Optimizer,
    Recurrent,
    Strategy,
    Training,
    TrainingData,
)

CPU = DeviceCapabilities(
    device_type="cpu",
    device="cpu",
    supports_mixed_precision=False,
    supports_memory_profiling=False,
    max_batch_size=65536,
    memory_available_gb=1.0,
)

TRIPLE_BARRIER: dict[str, Any] = {
    "pt_multiplier": 2.0,
    "sl_multiplier": 1.5,
    "max_holding_period": 10,
    "vol_span": 20,
    "vol_method": "atr",
    "compute_weights": False,
}


class Recorder:
    """Keeps everything that a training reports."""

    def __init__(self) -> None:
        self.events: list[Progress] = []

    def __call__(self, event: Progress) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Token:
    """Asks to stop from the look number `stop_at` on (counted from 1); never without one."""

    def __init__(self, stop_at: float = float("inf")) -> None:
        self.stop_at = stop_at
        self.looks = 0

    def is_cancellation_requested(self) -> bool:
        self.looks += 1
        return self.looks >= self.stop_at


def random_walk(count: int, *, seed: int = 0, volatility: float = 0.01, start: str = "2020-01-01") -> pd.DataFrame:
    """Hourly bars whose log close is a random walk."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, volatility, count)))
    opening = np.concatenate(([100.0], close[:-1]))[:count]
    high = np.maximum(opening, close) * (1.0 + np.abs(random.normal(0.0, volatility / 2, count)))
    low = np.minimum(opening, close) * (1.0 - np.abs(random.normal(0.0, volatility / 2, count)))
    columns = {"open": opening, "high": high, "low": low, "close": close, "volume": random.uniform(1.0, 9.0, count)}
    return pd.DataFrame(columns, index=pd.date_range(start, periods=count, freq="h", tz="UTC", name="time"))


def bars(frame: pd.DataFrame) -> Bars:
    return Bars(*(frame[name].to_numpy().copy() for name in ("open", "high", "low", "close", "volume")))


def make_indicator(type: str, *, id: str = "x", **params: Any) -> Indicator:
    defaults = {name: parameter.default for name, parameter in REGISTRY[type].parameters.items()}
    return Indicator(id=id, type=type, params=defaults | params)


def make_membership(name: str, shape: Any, *parameters: float) -> Membership:
    return Membership(name=name, shape=shape, parameters=parameters)


def make_training(**changes: Any) -> Training:
    defaults: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 32,
        "optimizer": Optimizer(type="adam", learning_rate=0.001, weight_decay=1e-4, momentum=0.0),
        "scheduler": None,
        "early_stopping": None,
        "gradient_clip": 1.0,
        "loss": Loss(type="cross_entropy"),
        "class_weights": "balanced",
        "seed": None,
        "data_split": (0.7, 0.15, 0.15),
        "labels": Labels(source="zigzag", params={"zigzag_threshold": 0.02}),
    }
    return Training(**(defaults | changes))


def make_strategy(*, symbols: tuple[str, ...] = ("AAA",), training: Training | None = None, **data: Any) -> Strategy:
    """RSI and MACD memberships and a raw ATR into a small network."""
    training = training or make_training()
    is_regression = training.labels.source == "forward_return"
    return Strategy(
        name="example",
        metadata={},
        data=TrainingData(
            **(
                {
                    "symbols": symbols,
                    "timeframes": ("1h",),
                    "base_timeframe": "1h",
                    "start": None,
                    "end": None,
                    "history_required": 50,
                }
                | data
            )
        ),
        context={},
        indicators={
            "rsi_14": make_indicator("rsi", id="rsi_14"),
            "macd": make_indicator("macd", id="macd"),
            "atr_14": make_indicator("atr", id="atr_14"),
        },
        fuzzy_sets={
            "rsi": FuzzySet(
                id="rsi",
                indicator="rsi_14",
                memberships=(
                    make_membership("oversold", "trapezoidal", 0, 0, 30, 45),
                    make_membership("neutral", "triangular", 30, 50, 70),
                    make_membership("above", "gaussian", 75, 10),
                ),
            ),
            "swing": FuzzySet(
                id="swing",
                indicator="macd.histogram",
                memberships=(
                    make_membership("down", "trapezoidal", -5, -5, -0.5, 0),
                    make_membership("up", "trapezoidal", 0, 0.5, 5, 5),
                ),
            ),
        },
        inputs=(
            Input(fuzzy_set="rsi", raw_indicator=None, timeframes=("1h",), normalization="none"),
            Input(fuzzy_set=None, raw_indicator="atr_14", timeframes=("1h",), normalization="zscore"),
            Input(fuzzy_set="swing", raw_indicator=None, timeframes=("1h",), normalization="none"),
        ),
        model=Model(type="mlp", architecture=Mlp(hidden_layers=(16, 8), dropout=0.2, activation="relu")),
        training=training,
        decisions=Decisions(
            output_format="regression" if is_regression else "classification",
            confidence_threshold=0.5,
            cost_model=CostModel(round_trip_cost=0.001, min_edge_multiplier=1.5) if is_regression else None,
            min_signal_separation=4.0,
            position_awareness=True,
            allow_short_from_flat=False,
        ),
    )


def make_specification(strategy: Strategy, *, seed: int = 7) -> Specification:
    references = tuple(
        PriceReference(symbol=symbol, timeframe="1h", digest="0" * 64) for symbol in strategy.data.symbols
    )
    return Specification(strategy=strategy, prices=references, seed=seed)


def reader(frames: Mapping[str, pd.DataFrame]) -> Any:
    """What `run.train` reads prices with: one frame per symbol."""
    return lambda reference: frames[reference.symbol]


def with_dropout(of: Strategy, dropout: float) -> Strategy:
    return replace(of, model=replace(of.model, architecture=replace(of.model.architecture, dropout=dropout)))


def make_recurrent(of: Strategy, kind: Any, **changes: Any) -> Strategy:
    """The strategy with a small recurrent network."""
    defaults = {"sequence_length": 8, "hidden_size": 8, "num_layers": 2, "dropout": 0.2}
    return replace(of, model=replace(of.model, type=kind, architecture=Recurrent(**defaults | changes)))
