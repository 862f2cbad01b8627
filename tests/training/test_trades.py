"""Decisions as positions and as money, against a simulation that walks bar by bar."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_examples import hours, linear, made, make_dataset, make_part
from hypothesis import given, settings
from hypothesis import strategies as st
from training_examples import make_strategy, make_training

from ktrdr.training.decisions import positions_of, signals_of
from ktrdr.training.evaluation import evaluate, warnings
from ktrdr.training.evaluation.trades import (
    Account,
    curve,
    max_drawdown,
    sharpe_ratio,
    together,
    trade,
    trading_metrics,
)
from ktrdr.training.losses import sample_losses
from ktrdr.training.strategy.model import Decisions, Labels, Loss

RULES = Decisions(
    output_format="classification",
    confidence_threshold=0.5,
    cost_model=None,
    min_signal_separation=0.0,
    position_awareness=True,
    allow_short_from_flat=False,
)


def positions(signals: list[int], at: Any = None, **rules: Any) -> list[int]:
    times = hours(*range(len(signals))) if at is None else hours(*at)
    return positions_of(np.array(signals, dtype=np.int8), times, replace(RULES, **rules)).tolist()


# --- positions ---


def test_classes_of_every_label_source_have_a_direction() -> None:
    names = np.array(["buy", "hold", "sell", "bullish", "bearish", "neutral", "up", "down", "ranging", "volatile"])
    assert signals_of(names).tolist() == [1, 0, -1, 1, -1, 0, 1, -1, 0, 0]


def test_a_buy_opens_a_sell_closes_and_repetitions_change_nothing() -> None:
    assert positions([0, 1, 1, 0, -1, -1, 0, 1]) == [0, 1, 1, 1, 0, 0, 0, 1]


def test_a_sell_without_a_position_opens_a_short_one_only_if_it_may() -> None:
    assert positions([-1, 0, 1, 1]) == [0, 0, 1, 1]
    assert positions([-1, 0, 1, 1], allow_short_from_flat=True) == [-1, -1, 0, 1]


def test_without_position_awareness_a_signal_reverses_the_position() -> None:
    rules = {"position_awareness": False, "allow_short_from_flat": True}
    assert positions([1, -1, 1, 0, -1], **rules) == [1, -1, 1, 1, -1]
    assert positions([-1, 1, -1, -1], position_awareness=False) == [0, 1, 0, 0]


def test_a_signal_too_soon_after_the_last_one_is_ignored() -> None:
    assert positions([1, -1, -1, -1, 1], min_signal_separation=2.0) == [1, 1, 0, 0, 1]
    assert positions([1, -1, -1], at=[0, 1.5, 2.5], min_signal_separation=2.0) == [1, 1, 0]


def test_an_ignored_signal_starts_no_new_separation_but_a_repeated_one_does() -> None:
    signals = [1, 0, 1, -1]  # the second buy comes when a signal may come again
    assert positions(signals, min_signal_separation=2.0) == [1, 1, 1, 0]
    assert positions(signals, min_signal_separation=2.0, position_awareness=False) == [1, 1, 1, 1]


def test_no_samples_give_no_positions() -> None:
    assert positions([]) == []


def walk(signals: list[int], at: list[float], rules: Decisions) -> list[int]:
    """The rules of `positions_of`, bar by bar."""
    position, last, found = 0, -np.inf, []
    for signal, moment in zip(signals, at, strict=True):
        wanted: int | None = None
        if signal and moment - last >= rules.min_signal_separation:
            if rules.position_awareness:
                if signal != position and (position or signal > 0 or rules.allow_short_from_flat):
                    wanted = position + signal
            elif signal > 0 or rules.allow_short_from_flat:
                wanted = signal
            elif position:
                wanted = 0
        if wanted is not None:
            position, last = wanted, moment
        found.append(position)
    return found


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(-1, 1), st.sampled_from([0.5, 1.0, 3.0])), max_size=40),
    st.sampled_from([0.0, 0.5, 1.0, 4.0]),
    st.booleans(),
    st.booleans(),
)
def test_positions_are_those_of_a_walk_from_bar_to_bar(
    bars: list[tuple[int, float]], separation: float, aware: bool, short: bool
) -> None:
    rules = replace(RULES, min_signal_separation=separation, position_awareness=aware, allow_short_from_flat=short)
    signals, at = [signal for signal, _ in bars], np.cumsum([gap for _, gap in bars]).tolist()
    found = positions_of(np.array(signals, dtype=np.int8), hours(*at), rules)
    assert found.tolist() == walk(signals, at, rules)


# --- money ---


def traded(held: list[int], closes: list[float], cost: float = 0.0) -> Any:
    return trade(np.array(held, dtype=np.int8), hours(*range(len(held))), np.array(closes), cost)


def test_a_decision_earns_from_its_own_close_on_and_not_before() -> None:
    # The price doubles before the buy and rises by a half after it.
    result = trading_metrics(traded([0, 1, 1], [1.0, 2.0, 3.0]), 0.0)
    assert result["net_return"] == pytest.approx(0.5)
    assert result["buy_and_hold_return"] == pytest.approx(2.0)
    assert (result["trades"], result["turnover"], result["exposure"]) == (1, 2.0, 0.5)


def test_a_decision_at_the_last_bar_earns_and_costs_nothing() -> None:
    result = trading_metrics(traded([0, 0, 1], [1.0, 2.0, 3.0], 0.1), 0.1)
    assert (result["net_return"], result["trades"], result["turnover"]) == (0.0, 0, 0.0)


def test_each_change_of_the_position_costs_half_a_round_trip() -> None:
    flat = [1.0] * 4
    assert traded([1, 1, 1, 1], flat, 0.02).model.equity[-1] == pytest.approx(0.99**1 * 0.99)
    reversed_once = traded([1, -1, -1, -1], flat, 0.02)
    assert reversed_once.model.equity[-1] == pytest.approx(0.99 * 0.98 * 0.99)
    assert (reversed_once.trades, reversed_once.turnover) == (2, 4.0)


def test_a_short_position_earns_the_fall_and_cannot_lose_more_than_everything() -> None:
    assert traded([-1, -1, 0], [2.0, 1.0, 1.0]).model.equity.tolist() == [1.0, 1.5, 1.5]
    assert traded([-1, -1, -1, 0], [1.0, 3.0, 1.0, 1.0]).model.equity.tolist() == [1.0, 0.0, 0.0, 0.0]
    json.dumps(trading_metrics(traded([-1, -1, -1, 0], [1.0, 3.0, 1.0, 1.0]), 0.0), allow_nan=False)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-1, 1), st.floats(0.5, 2.0)), min_size=1, max_size=30), st.floats(0.0, 0.1))
def test_the_capital_is_that_of_an_account_that_is_kept_bar_by_bar(bars: list[tuple[int, float]], cost: float) -> None:
    held, closes = [position for position, _ in bars], [close for _, close in bars]
    held[-1] = 0
    capital, before = [1.0], 0
    for at in range(len(held) - 1):
        growth = 1 + held[at] * (closes[at + 1] / closes[at] - 1) - abs(held[at] - before) * cost / 2
        if at == len(held) - 2:
            growth -= abs(held[at]) * cost / 2
        capital.append(capital[-1] * max(growth, 0.0))
        before = held[at]
    np.testing.assert_allclose(traded(held, closes, cost).model.equity, capital, rtol=1e-9, atol=1e-12)


def test_the_sharpe_ratio_is_annual_by_the_frequency_of_the_samples() -> None:
    returns = np.random.default_rng(0).normal(0.001, 0.01, 730)
    equity = np.concatenate(([1.0], np.cumprod(1 + returns)))
    daily = Account(hours(*(24 * np.arange(731))), equity)
    expected = pd.Series(returns).mean() / pd.Series(returns).std() * np.sqrt(365.25)
    assert sharpe_ratio(daily) == pytest.approx(expected)
    assert sharpe_ratio(Account(hours(*range(731)), equity)) == pytest.approx(expected * np.sqrt(24))
    assert sharpe_ratio(Account(hours(0, 1, 2), np.ones(3))) is None
    assert sharpe_ratio(Account(hours(0), np.ones(1))) is None


def test_the_largest_drawdown_is_from_a_highest_point() -> None:
    assert max_drawdown(np.array([1.0, 2.0, 1.5, 3.0, 2.4])) == pytest.approx(0.25)


def test_symbols_share_the_capital_equally_whenever_their_samples_are() -> None:
    one = trade(np.array([1, 1, 0], np.int8), hours(0, 2, 4), np.array([1.0, 2.0, 4.0]), 0.0)
    other = trade(np.array([1, 0], np.int8), hours(1, 3), np.array([1.0, 0.5]), 0.0)
    both = together([one, other])
    assert both.model.times.tolist() == hours(0, 1, 2, 3, 4).tolist()
    assert both.model.equity.tolist() == [1.0, 1.0, 1.5, 1.25, 2.25]
    assert (both.trades, both.turnover, both.exposure) == (2, 2.0, 1.0)


def test_a_curve_has_few_points_and_both_ends() -> None:
    shown = curve(Account(hours(*range(10_000)), np.linspace(1.0, 2.0, 10_000)), 500)
    assert len(shown["times"]) == len(shown["equity"]) == 500
    assert (shown["times"][0], shown["equity"][-1]) == ("2020-01-01T00:00:00Z", 2.0)
    assert curve(Account(hours(0, 1), np.ones(2)), 500)["equity"] == [1.0, 1.0]


# --- in the evaluation ---


def test_a_regression_pays_its_costs_and_a_classification_says_that_it_has_none() -> None:
    strategy = make_strategy(training=make_training(labels=Labels(source="forward_return", params={"horizon": 5})))
    part = make_part(torch.ones(3, 6), torch.ones(3), closes=[1.0, 1.1, 1.21])
    losses = sample_losses(Loss(type="mse"), None)
    network = linear([[1.0, 0, 0, 0, 0, 0]])
    found = evaluate(made(network), make_dataset(strategy, part, part, ()), losses, strategy=strategy, seed=0)
    assert found.metrics["trading"]["round_trip_cost"] == 0.001
    assert found.metrics["trading"]["net_return"] == pytest.approx((1.1 - 0.0005) ** 2 - 1)
    classes = make_strategy()
    part = make_part(torch.eye(6)[[0, 0, 0]] * 10, torch.tensor([0, 1, 2]), closes=[1.0, 1.1, 1.21])
    network = linear([[1.0, 0, 0, 0, 0, 0], [0.0] * 6, [0.0] * 6])
    losses = sample_losses(Loss(type="cross_entropy"), None)
    found = evaluate(made(network), make_dataset(classes, part, part), losses, strategy=classes, seed=0)
    assert found.metrics["trading"]["round_trip_cost"] == 0.0
    assert found.per_symbol["A"]["trading"] == found.metrics["trading"]
    assert found.metrics["trading"]["net_return"] == pytest.approx(0.21)


def test_a_worse_result_than_holding_and_no_trade_at_all_are_said() -> None:
    held = trading_metrics(traded([0, 1, 1], [1.0, 2.0, 3.0]), 0.0)
    assert list(warnings.of_trading(held)) == [
        "trading by the model returned +50.0%, less than the +200.0% of buying and holding"
    ]
    assert "no trade" in "".join(warnings.of_trading(trading_metrics(traded([0, 0], [1.0, 2.0]), 0.0)))
