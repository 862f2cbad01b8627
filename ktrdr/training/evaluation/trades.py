"""What following a model's positions would have earned, beside buying at the start and holding. Imports numpy only.

A position that is decided at the close of one sample earns what the close of the next one brings, and so on; nothing
is earned from a price that came before the decision. The capital is always fully used: a position of 1 earns the
return of the price, one of -1 its negative. Every change of the position by 1 costs half of a round trip, the close of
whatever is still held at the end included. What is lost cannot be more than everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ktrdr.training.decisions import Signs

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

_SECONDS_PER_YEAR = 365.25 * 86_400


class Trading(TypedDict):
    """The result as trades; returns and drawdowns are shares of the capital."""

    net_return: float
    #: See `sharpe_ratio`; null where nothing varies.
    sharpe: float | None
    max_drawdown: float
    #: The sum of all changes of the position, in multiples of the capital: one trade is 2.
    turnover: float
    #: Share of the periods with a position.
    exposure: float
    #: How many positions were opened.
    trades: int
    #: What opening and closing one position was taken to cost, as a share of the capital.
    round_trip_cost: float
    buy_and_hold_return: float
    buy_and_hold_sharpe: float | None
    buy_and_hold_max_drawdown: float


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a capital of 1."""

    #: datetime64[ns] (samples,), ascending.
    times: Times
    #: The capital at the close of each sample; the first is 1.
    equity: Floats


@dataclass(frozen=True, slots=True)
class Traded:
    """One symbol, or several with an equal share of the capital each."""

    model: Account
    buy_and_hold: Account
    turnover: float
    exposure: float
    trades: int


def trade(positions: Signs, times: Times, closes: Floats, round_trip_cost: float) -> Traded:
    """One symbol's samples in time order: at least one; nothing can be earned after the last."""
    held = np.concatenate((positions[:-1], [0])).astype(np.float64)
    changes = np.abs(np.diff(held, prepend=0.0))
    opened = (held != 0.0) & (np.diff(held, prepend=0.0) != 0.0)
    return Traded(
        model=Account(times, _equity(held, closes, round_trip_cost)),
        buy_and_hold=Account(times, _equity(np.append(np.ones(len(closes) - 1), 0.0), closes, round_trip_cost)),
        turnover=float(changes.sum()),
        exposure=float(np.abs(held[:-1]).mean()) if len(held) > 1 else 0.0,
        trades=int(opened.sum()),
    )


def _equity(held: Floats, closes: Floats, round_trip_cost: float) -> Floats:
    """The capital at each close, given the position that is held from it on; the last position is 0."""
    costs = np.abs(np.diff(held, prepend=0.0)) * round_trip_cost / 2.0
    growth = 1.0 + held[:-1] * (closes[1:] / closes[:-1] - 1.0) - costs[:-1]
    if len(growth):
        growth[-1] -= costs[-1]
    return np.concatenate(([1.0], np.cumprod(np.maximum(growth, 0.0))))


def together(traded: Sequence[Traded]) -> Traded:
    """Several symbols, each with an equal share of the capital at the start and nothing moved between them later."""
    return Traded(
        model=_portfolio([one.model for one in traded]),
        buy_and_hold=_portfolio([one.buy_and_hold for one in traded]),
        turnover=sum(one.turnover for one in traded) / len(traded),
        exposure=sum(one.exposure for one in traded) / len(traded),
        trades=sum(one.trades for one in traded),
    )


def _portfolio(accounts: Sequence[Account]) -> Account:
    if len(accounts) == 1:
        return accounts[0]
    times = np.unique(np.concatenate([account.times for account in accounts]))
    equity = np.zeros(len(times))
    for account in accounts:
        # Before a symbol's first sample its share waits; after its last one it stays as it is.
        equity += np.append(1.0, account.equity)[np.searchsorted(account.times, times, side="right")]
    return Account(times, equity / len(accounts))


def trading_metrics(traded: Traded, round_trip_cost: float) -> Trading:
    return Trading(
        net_return=float(traded.model.equity[-1] - 1.0),
        sharpe=sharpe_ratio(traded.model),
        max_drawdown=max_drawdown(traded.model.equity),
        turnover=traded.turnover,
        exposure=traded.exposure,
        trades=traded.trades,
        round_trip_cost=round_trip_cost,
        buy_and_hold_return=float(traded.buy_and_hold.equity[-1] - 1.0),
        buy_and_hold_sharpe=sharpe_ratio(traded.buy_and_hold),
        buy_and_hold_max_drawdown=max_drawdown(traded.buy_and_hold.equity),
    )


def sharpe_ratio(account: Account) -> float | None:
    """mean(r) / std(r) * sqrt(n): r the returns from sample to sample, n how many of them a year of 365.25 days has.

    The standard deviation is that of a sample (n - 1); no riskless rate is taken off. Null with less than two returns
    or where they do not vary.
    """
    before = account.equity[:-1]
    returns = np.divide(np.diff(account.equity), before, out=np.zeros(len(before)), where=before > 0.0)
    if len(returns) < 2:
        return None
    deviation = float(returns.std(ddof=1))
    if deviation == 0.0:
        return None
    years = float((account.times[-1] - account.times[0]) / np.timedelta64(1, "s")) / _SECONDS_PER_YEAR
    return float(returns.mean()) / deviation * math.sqrt(len(returns) / years)


def max_drawdown(equity: Floats) -> float:
    """The largest loss from a highest point so far, as a share of that: 0 = never a loss, 1 = all lost."""
    return float((1.0 - equity / np.maximum.accumulate(equity)).max())


def curve(account: Account, points: int) -> Mapping[str, list[str] | list[float]]:
    """At most so many points of the capital over time, first and last included, as plain JSON."""
    chosen = np.unique(np.linspace(0, len(account.equity) - 1, points).round().astype(np.int64))
    return {
        "times": np.datetime_as_string(account.times[chosen], unit="s", timezone="UTC").tolist(),
        "equity": account.equity[chosen].round(6).tolist(),
    }
