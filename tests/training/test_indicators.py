from __future__ import annotations

import subprocess
import sys
from typing import Any

import indicator_references as reference
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_examples import bars, make_indicator, random_walk

from ktrdr.training.indicators import REGISTRY, compute, find


def flat(count: int) -> pd.DataFrame:
    frame = random_walk(count)
    frame[["open", "high", "low", "close"]] = 100.0
    return frame


def gapped(count: int) -> pd.DataFrame:
    """The price jumps by half or doubles every 30 bars."""
    frame = random_walk(count, seed=5)
    jumps = np.cumprod(np.where(np.arange(count) % 60 == 30, 2.0, np.where(np.arange(count) % 60 == 59, 0.5, 1.0)))
    for column in ("open", "high", "low", "close"):
        frame[column] *= jumps
    return frame


def expected(type: str, frame: pd.DataFrame, p: dict[str, Any]) -> tuple[list[float], ...]:
    columns = {name: frame[name].tolist() for name in frame.columns}
    high, low, close = columns["high"], columns["low"], columns["close"]
    source = columns[p.get("source", "close")]
    match type:
        case "rsi":
            return (reference.rsi(source, p["period"]),)
        case "roc":
            return (reference.roc(source, p["period"]),)
        case "atr":
            return (reference.atr(high, low, close, p["period"]),)
        case "simplemovingaverage":
            return (reference.sma(source, p["period"]),)
        case "exponentialmovingaverage":
            average = reference.adjusted_ema if p["adjust"] else reference.ema
            return (average(source, p["period"]),)
        case "macd":
            return reference.macd(source, p["fast_period"], p["slow_period"], p["signal_period"])
        case "adx":
            return reference.adx(high, low, close, p["period"])
        case "stochastic":
            return reference.stochastic(high, low, close, **p)
        case "bollingerbands":
            return reference.bollinger(source, p["period"], p["multiplier"])
    raise AssertionError(f"write a reference for {type}")


CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in REGISTRY),
    ("rsi", {"period": 2}),
    ("rsi", {"period": 100, "source": "high"}),
    ("roc", {"period": 1, "source": "volume"}),
    ("atr", {"period": 1}),
    ("simplemovingaverage", {"period": 2, "source": "open"}),
    ("exponentialmovingaverage", {"period": 1}),
    ("exponentialmovingaverage", {"period": 5, "adjust": True}),
    ("exponentialmovingaverage", {"period": 1, "adjust": True}),
    ("macd", {"fast_period": 2, "slow_period": 3, "signal_period": 1}),
    ("adx", {"period": 2}),
    ("stochastic", {"k_period": 1, "d_period": 1, "smooth_k": 1}),
    ("stochastic", {"k_period": 5, "d_period": 20, "smooth_k": 1}),
    ("bollingerbands", {"period": 2, "multiplier": 10.0, "source": "low"}),
]


@pytest.mark.parametrize("frame", [random_walk(300), gapped(300)], ids=["random", "gapped"])
@pytest.mark.parametrize(("type", "params"), CASES)
def test_an_indicator_agrees_with_its_definition(type: str, params: dict[str, Any], frame: pd.DataFrame) -> None:
    wanted = make_indicator(type, **params)
    columns = list(compute(wanted, bars(frame)).values())
    for column, value in zip(
        columns[-len(REGISTRY[type].outputs or "x") :], expected(type, frame, wanted.params), strict=True
    ):
        np.testing.assert_allclose(column, value, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("type", sorted(REGISTRY))
def test_a_flat_series_gives_finite_values_after_the_warm_up(type: str) -> None:
    frame = flat(150)
    wanted = make_indicator(type)
    columns = list(compute(wanted, bars(frame)).values())[-len(REGISTRY[type].outputs or "x") :]
    for column, value in zip(columns, expected(type, frame, wanted.params), strict=True):
        np.testing.assert_allclose(column, value, atol=1e-5)
        assert np.isfinite(column[60:]).all()


@pytest.mark.parametrize("count", [0, 1, 2, 13])
@pytest.mark.parametrize("type", sorted(REGISTRY))
def test_a_series_shorter_than_the_period_has_no_value(type: str, count: int) -> None:
    periods = {name: 15 for name in REGISTRY[type].parameters if name.endswith(("period", "smooth_k"))}
    if type == "macd":
        periods["slow_period"] = 16
    for column in compute(make_indicator(type, **periods), bars(random_walk(count))).values():
        assert column.shape == (count,)
        assert np.isnan(column).all()


@settings(max_examples=40, deadline=None)
@given(case=st.sampled_from(CASES), count=st.integers(0, 120), seed=st.integers(0, 2**16))
def test_an_indicator_knows_nothing_of_later_bars(case: tuple[str, dict[str, Any]], count: int, seed: int) -> None:
    frame = random_walk(120, seed=seed)
    whole = compute(make_indicator(case[0], **case[1]), bars(frame))
    cut = compute(make_indicator(case[0], **case[1]), bars(frame.iloc[:count]))
    for name, column in cut.items():
        np.testing.assert_array_equal(column, whole[name][:count])


def test_the_id_alone_means_the_first_output() -> None:
    columns = compute(make_indicator("macd", id="m"), bars(random_walk(80)))
    assert list(columns) == ["m", "m.line", "m.signal", "m.histogram"]
    np.testing.assert_array_equal(columns["m"], columns["m.line"])


def test_bars_are_not_changed() -> None:
    frame = bars(random_walk(100))
    before = frame.close.copy()
    for type in REGISTRY:
        for column in compute(make_indicator(type), frame).values():
            assert not np.shares_memory(column, frame.close)
    np.testing.assert_array_equal(frame.close, before)


def test_a_type_is_found_by_every_name_in_any_case() -> None:
    names = {"SMA": "simplemovingaverage", "Ema": "exponentialmovingaverage", "bbands": "bollingerbands", "RSI": "rsi"}
    assert {name: getattr(find(name), "name", None) for name in names} == names
    assert find("nothing") is None


def test_the_registry_holds_the_types_ranges_and_outputs_of_the_format() -> None:
    def described(type: str) -> dict[str, tuple[Any, ...]]:
        return {name: (p.default, p.low, p.high) for name, p in REGISTRY[type].parameters.items() if name != "source"}

    assert described("rsi") == {"period": (14, 2, 100)}
    assert described("roc") == {"period": (10, 1, 100)}
    assert described("atr") == {"period": (14, 1, 100)}
    assert described("simplemovingaverage") == {"period": (20, 2, 500)}
    assert described("exponentialmovingaverage")["period"] == (20, 1, 500)
    assert described("adx") == {"period": (14, 2, 200)}
    assert REGISTRY["adx"].outputs == ("adx", "plus_di", "minus_di")
    assert REGISTRY["stochastic"].outputs == ("k", "d")
    assert REGISTRY["bollingerbands"].outputs == ("upper", "middle", "lower")
    assert [p.aliases for p in REGISTRY["macd"].parameters.values()][:3] == [("fast",), ("slow",), ("signal",)]


def test_importing_every_indicator_imports_neither_pandas_nor_torch() -> None:
    code = "import sys, ktrdr.training.indicators; print([m for m in ('pandas', 'torch', 'talib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
