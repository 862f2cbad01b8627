"""Slow, plain-loop definitions of the indicators, written from their definitions and not from the code under test.

Each takes plain lists and returns lists of the same length with NaN where the value is not known yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

NAN = math.nan
Values = Sequence[float]


def windowed(values: Values, period: int, of: Callable[[Values], float]) -> list[float]:
    """`of` the last `period` values; NaN until there are as many known ones."""
    result = []
    for end in range(1, len(values) + 1):
        window = values[max(0, end - period) : end]
        known = len(window) == period and not any(map(math.isnan, window))
        result.append(of(window) if known else NAN)
    return result


def mean(values: Values) -> float:
    return math.fsum(values) / len(values)


def sma(values: Values, period: int) -> list[float]:
    return windowed(values, period, mean)


def ema(values: Values, period: int, *, first: int | None = None) -> list[float]:
    """Starts at bar `first` (default: as early as possible) from the mean of the `period` values up to it."""
    known = [i for i, value in enumerate(values) if not math.isnan(value)]
    first = (known[0] if known else 0) + period - 1 if first is None else first
    result = [NAN] * len(values)
    if not known or first >= len(values):
        return result
    alpha = 2.0 / (period + 1)
    result[first] = mean(values[first - period + 1 : first + 1])
    for i in range(first + 1, len(values)):
        result[i] = result[i - 1] + alpha * (values[i] - result[i - 1])
    return result


def adjusted_ema(values: Values, period: int) -> list[float]:
    alpha = 2.0 / (period + 1)
    result = []
    for end in range(1, len(values) + 1):
        weights = [(1 - alpha) ** age for age in range(end)]
        weighted = math.fsum(w * v for w, v in zip(weights, reversed(values[:end]), strict=True))
        result.append(weighted / math.fsum(weights) if end >= period else NAN)
    return result


def roc(values: Values, period: int) -> list[float]:
    return [NAN if i < period else 100.0 * (values[i] / values[i - period] - 1.0) for i in range(len(values))]


def rsi(values: Values, period: int) -> list[float]:
    gains = [max(b - a, 0.0) for a, b in pairwise(values)]
    falls = [max(a - b, 0.0) for a, b in pairwise(values)]
    result = [NAN] * len(values)
    if len(gains) < period:
        return result
    gain, fall = mean(gains[:period]), mean(falls[:period])
    for i in range(period, len(values)):
        if i > period:
            gain = (gain * (period - 1) + gains[i - 1]) / period
            fall = (fall * (period - 1) + falls[i - 1]) / period
        result[i] = 100.0 * gain / (gain + fall) if gain + fall > 0 else 0.0
    return result


def true_range(high: Values, low: Values, close: Values) -> list[float]:
    """From bar 1 on; the entry of bar 0 is NaN."""
    ranges = [NAN]
    for i in range(1, len(close)):
        ranges.append(max(high[i] - low[i], abs(high[i] - close[i - 1]), abs(low[i] - close[i - 1])))
    return ranges[: len(close)]


def atr(high: Values, low: Values, close: Values, period: int) -> list[float]:
    ranges = true_range(high, low, close)
    result = [NAN] * len(close)
    if len(close) <= period:
        return result
    result[period] = mean(ranges[1 : period + 1])
    for i in range(period + 1, len(close)):
        result[i] = (result[i - 1] * (period - 1) + ranges[i]) / period
    return result


def macd(values: Values, fast: int, slow: int, signal: int) -> tuple[list[float], list[float], list[float]]:
    """Both averages start where the slow one can; the line is shown from where its signal is known."""
    start = slow - 1
    pairs = zip(ema(values, fast, first=start), ema(values, slow, first=start), strict=True)
    line = [a - b for a, b in pairs]
    smooth = ema(line, signal)
    line = [NAN if math.isnan(s) else value for value, s in zip(line, smooth, strict=True)]
    return line, smooth, [a - b for a, b in zip(line, smooth, strict=True)]


def adx(high: Values, low: Values, close: Values, period: int) -> tuple[list[float], list[float], list[float]]:
    count = len(close)
    ranges = true_range(high, low, close)
    plus, minus = [0.0] * count, [0.0] * count
    for i in range(1, count):
        up, down = high[i] - high[i - 1], low[i - 1] - low[i]
        plus[i] = up if up > down and up > 0 else 0.0
        minus[i] = down if down > up and down > 0 else 0.0
    plus_di, minus_di, strength = [NAN] * count, [NAN] * count, [NAN] * count
    # Wilder's sums begin with period - 1 values and take in the next by dropping 1 / period of themselves.
    sums = [math.fsum(values[1:period]) for values in (plus, minus, ranges)]
    movements: list[float] = []
    for i in range(period, count):
        sums = [s - s / period + new[i] for s, new in zip(sums, (plus, minus, ranges), strict=True)]
        p, m, total = sums
        plus_di[i] = 100.0 * p / total if total > 0 else 0.0
        minus_di[i] = 100.0 * m / total if total > 0 else 0.0
        both = plus_di[i] + minus_di[i]
        if both > 0:
            movements.append(100.0 * abs(plus_di[i] - minus_di[i]) / both)
        elif movements:
            movements.append(movements[-1])
        else:
            movements.append(0.0)
        if len(movements) == period:
            strength[i] = mean(movements)
        elif len(movements) > period:
            strength[i] = (strength[i - 1] * (period - 1) + (movements[-1] if both > 0 else strength[i - 1])) / period
    return strength, plus_di, minus_di


def stochastic(
    high: Values, low: Values, close: Values, *, k_period: int, d_period: int, smooth_k: int
) -> tuple[list[float], list[float]]:
    fast = []
    for i in range(len(close)):
        if i < k_period - 1:
            fast.append(NAN)
            continue
        top, bottom = max(high[i - k_period + 1 : i + 1]), min(low[i - k_period + 1 : i + 1])
        fast.append(100.0 * (close[i] - bottom) / (top - bottom) if top > bottom else 0.0)
    k = sma(fast, smooth_k)
    d = sma(k, d_period)
    return [NAN if math.isnan(b) else a for a, b in zip(k, d, strict=True)], d


def bollinger(values: Values, period: int, multiplier: float) -> tuple[list[float], list[float], list[float]]:
    middle = sma(values, period)

    def deviation(window: Values) -> float:
        centre = mean(window)
        return math.sqrt(mean([(value - centre) ** 2 for value in window]))

    widths = [multiplier * value for value in windowed(values, period, deviation)]
    upper = [m + w for m, w in zip(middle, widths, strict=True)]
    return upper, middle, [m - w for m, w in zip(middle, widths, strict=True)]
