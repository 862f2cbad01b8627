"""Slow, plain-loop definitions of the indicators, written from their definitions and not from the code under test.

Each takes plain lists and returns lists of the same length with NaN where the value is not known yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

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


def wma(values: Values, period: int) -> list[float]:
    def of(window: Values) -> float:
        return math.fsum(weight * value for weight, value in enumerate(window, 1)) / math.fsum(range(1, period + 1))

    return windowed(values, period, of)


def quotient(a: float, b: float, otherwise: float) -> float:
    return otherwise if b == 0 else a / b


def change(values: Values, period: int) -> list[float]:
    return [NAN if i < period else values[i] - values[i - period] for i in range(len(values))]


def typical(high: Values, low: Values, close: Values) -> list[float]:
    return [(h + lo + c) / 3 for h, lo, c in zip(high, low, close, strict=True)]


def cci(high: Values, low: Values, close: Values, period: int) -> list[float]:
    def of(window: Values) -> float:
        if min(window) == max(window):
            return 0.0
        centre = mean(window)
        return (window[-1] - centre) / (0.015 * mean([abs(value - centre) for value in window]))

    return windowed(typical(high, low, close), period, of)


def middles(high: Values, low: Values, period: int) -> list[float]:
    return [(a + b) / 2 for a, b in zip(windowed(high, period, max), windowed(low, period, min), strict=True)]


def williams_r(high: Values, low: Values, close: Values, period: int) -> list[float]:
    tops, bottoms = windowed(high, period, max), windowed(low, period, min)
    return [-100 * quotient(top - c, top - bottom, 0.0) for top, bottom, c in zip(tops, bottoms, close, strict=True)]


def distance(values: Values, period: int, ma_type: str) -> list[float]:
    averages = sma(values, period) if ma_type == "SMA" else ema(values, period)
    return [100 * quotient(value - average, average, 0.0) for value, average in zip(values, averages, strict=True)]


def band_width(values: Values, period: int, multiplier: float) -> list[float]:
    return [quotient(up - down, mid, 0.0) for up, mid, down in zip(*bollinger(values, period, multiplier), strict=True)]


def keltner(
    prices: tuple[Values, Values, Values], centre: Values, period: int, atr_period: int, multiplier: float
) -> tuple[list[float], list[float], list[float]]:
    middle, ranges = ema(centre, period), atr(*prices, atr_period)
    upper = [m + multiplier * r for m, r in zip(middle, ranges, strict=True)]
    return upper, middle, [m - multiplier * r for m, r in zip(middle, ranges, strict=True)]


def squeeze(
    prices: tuple[Values, Values, Values],
    values: Values,
    *,
    bb_period: int,
    bb_multiplier: float,
    kc_period: int,
    kc_multiplier: float,
) -> list[float]:
    outer_up, _, outer_down = keltner(prices, values, kc_period, kc_period, kc_multiplier)
    up, _, down = bollinger(values, bb_period, bb_multiplier)
    result = []
    for a, b, c, d in zip(outer_up, up, down, outer_down, strict=True):
        overlap = min(a - b, c - d)
        result.append(overlap if math.isnan(overlap) else quotient(max(0.0, overlap), a - d, 0.0))
    return result


def ichimoku(
    high: Values,
    low: Values,
    close: Values,
    *,
    tenkan_period: int,
    kijun_period: int,
    senkou_b_period: int,
    displacement: int,
) -> tuple[list[float], ...]:
    tenkan, kijun, far = (middles(high, low, n) for n in (tenkan_period, kijun_period, senkou_b_period))
    near = [(a + b) / 2 for a, b in zip(tenkan, kijun, strict=True)]
    senkou_a, senkou_b = (([NAN] * displacement + drawn)[: len(close)] for drawn in (near, far))
    return tenkan, kijun, senkou_a, senkou_b, change(close, displacement)


def aroon(high: Values, low: Values, period: int) -> tuple[list[float], list[float], list[float]]:
    def latest(window: Values, extreme: Callable[[Values], float]) -> float:
        age = list(reversed(window)).index(extreme(window))
        return 100 * (period - age) / period

    up = windowed(high, period + 1, lambda window: latest(window, max))
    down = windowed(low, period + 1, lambda window: latest(window, min))
    return up, down, change_between(up, down)


def change_between(a: Values, b: Values) -> list[float]:
    return [x - y for x, y in zip(a, b, strict=True)]


def rvi(
    opening: Values, high: Values, low: Values, close: Values, *, period: int, signal_period: int
) -> tuple[list[float], list[float]]:
    def symmetric(values: Values) -> list[float]:
        return windowed(values, 4, lambda w: (w[0] + 2 * w[1] + 2 * w[2] + w[3]) / 6)

    ways, ranges = (
        sma(symmetric(change_between(close, opening)), period),
        sma(symmetric(change_between(high, low)), period),
    )
    vigor = [quotient(a, b, 0.0) for a, b in zip(ways, ranges, strict=True)]
    # Triangular weights: 1 2 3 2 1 for an odd number, 1 2 2 1 for an even one.
    weights = [min(i, signal_period + 1 - i) for i in range(1, signal_period + 1)]
    signal = windowed(
        vigor, signal_period, lambda w: math.fsum(a * b for a, b in zip(weights, w, strict=True)) / sum(weights)
    )
    return vigor, signal


def fisher(high: Values, low: Values, period: int, smoothing: int) -> tuple[list[float], list[float]]:
    """As Ehlers wrote it, bar by bar; his last line is an exponential mean of 3 values."""
    price = [(h + lo) / 2 for h, lo in zip(high, low, strict=True)]
    value, transformed = 0.0, []
    for i, newest in enumerate(price):
        if i < period - 1:
            transformed.append(NAN)
            continue
        window = price[i - period + 1 : i + 1]
        place = quotient(newest - min(window), max(window) - min(window), 0.5)
        value = 0.33 * 2 * (place - 0.5) + 0.67 * value
        if value > 0.99:
            value = 0.999
        if value < -0.99:
            value = -0.999
        transformed.append(math.log((1 + value) / (1 - value)))
    result = ema(transformed, smoothing)
    return result, [NAN, *result][: len(result)]


def parabolic_sar(high: Values, low: Values, *, initial_af: float, step_af: float, max_af: float) -> list[float]:
    """Wilder's rules; the first trade is short if the low fell by more than the high rose."""
    count = len(high)
    result = [NAN] * count
    if count < 2:
        return result
    initial_af = min(initial_af, max_af)
    fall, rise = low[0] - low[1], high[1] - high[0]
    is_long = not (fall > 0 and fall > rise)
    extreme, stop = (high[1], low[0]) if is_long else (low[1], high[0])
    factor = initial_af
    for i in range(1, count):
        last = max(1, i - 1)
        recent_high, recent_low = max(high[last], high[i]), min(low[last], low[i])
        if is_long and low[i] <= stop:
            is_long, stop, extreme, factor = False, max(extreme, recent_high), low[i], initial_af
            result[i] = stop
        elif not is_long and high[i] >= stop:
            is_long, stop, extreme, factor = True, min(extreme, recent_low), high[i], initial_af
            result[i] = stop
        else:
            result[i] = stop
            beyond = high[i] > extreme if is_long else low[i] < extreme
            if beyond:
                extreme = high[i] if is_long else low[i]
                factor = min(factor + step_af, max_af)
        stop += factor * (extreme - stop)
        stop = min(stop, recent_low) if is_long else max(stop, recent_high)
    return result


def supertrend(
    high: Values, low: Values, close: Values, period: int, multiplier: float
) -> tuple[list[float], list[float]]:
    ranges = atr(high, low, close, period)
    trend, direction = [NAN] * len(close), [NAN] * len(close)
    upper, lower, rising = NAN, NAN, True
    for i in range(period, len(close)):
        middle = (high[i] + low[i]) / 2
        up, down = middle + multiplier * ranges[i], middle - multiplier * ranges[i]
        if i == period or up < upper or close[i - 1] > upper:
            upper = up
        if i == period or down > lower or close[i - 1] < lower:
            lower = down
        rising = not close[i] < lower if rising else close[i] > upper
        trend[i], direction[i] = (lower, 1.0) if rising else (upper, -1.0)
    return trend, direction


def zigzag(values: Values, threshold: float) -> list[float]:
    """The extreme of the running leg becomes the last pivot at the bar that lies the threshold back from it."""
    rising, extreme, confirmed = None, values[0] if values else NAN, NAN
    result = []
    for value in values:
        if rising is None:
            if value >= extreme * (1 + threshold) or value <= extreme * (1 - threshold):
                rising, extreme = value > extreme, value
        elif rising:
            if value <= extreme * (1 - threshold):
                rising, confirmed, extreme = False, extreme, value
            extreme = max(extreme, value) if rising else extreme
        else:
            if value >= extreme * (1 + threshold):
                rising, confirmed, extreme = True, extreme, value
            extreme = extreme if rising else min(extreme, value)
        result.append(confirmed)
    return result


def mfi(high: Values, low: Values, close: Values, volume: Values, period: int) -> list[float]:
    price = typical(high, low, close)
    result = [NAN] * len(close)
    for i in range(period, len(close)):
        up = down = 0.0
        for j in range(i - period + 1, i + 1):
            if price[j] > price[j - 1]:
                up += price[j] * volume[j]
            elif price[j] < price[j - 1]:
                down += price[j] * volume[j]
        result[i] = 100 * quotient(up, up + down, 0.0)
    return result


def obv(close: Values, volume: Values) -> list[float]:
    balance, result = 0.0, []
    for i, traded in enumerate(volume):
        sign = 1 if i == 0 or close[i] > close[i - 1] else -1 if close[i] < close[i - 1] else 0
        balance += sign * traded
        result.append(balance)
    return result


def vwap(price: Values, volume: Values, period: int) -> list[float]:
    result = []
    for end in range(1, len(price) + 1):
        start = max(0, end - period) if period else 0
        prices, volumes = price[start:end], volume[start:end]
        value = math.fsum(p * v for p, v in zip(prices, volumes, strict=True))
        known = len(prices) == period or period == 0
        result.append(quotient(value, math.fsum(volumes), mean(prices)) if known else NAN)
    return result


def money_flow(high: Values, low: Values, close: Values, volume: Values) -> tuple[list[float], list[float]]:
    placed = [quotient((c - lo) - (h - c), h - lo, 0.0) for h, lo, c in zip(high, low, close, strict=True)]
    return placed, [a * b for a, b in zip(placed, volume, strict=True)]


def cmf(high: Values, low: Values, close: Values, volume: Values, period: int) -> tuple[list[float], ...]:
    placed, moved = money_flow(high, low, close, volume)
    sums, volumes = windowed(moved, period, math.fsum), windowed(volume, period, math.fsum)
    flow = [quotient(a, b, 0.0) for a, b in zip(sums, volumes, strict=True)]
    signal = ema(flow, 9)
    above = [value if math.isnan(value) else float(value > 0) for value in flow]
    below = [value if math.isnan(value) else float(value < 0) for value in flow]
    return flow, placed, moved, change(flow, 5), signal, change_between(flow, signal), above, below


def adline(high: Values, low: Values, close: Values, volume: Values, smoothing_period: int) -> tuple[list[float], ...]:
    placed, moved = money_flow(high, low, close, volume)
    line = list(accumulate(moved))
    rates = [NAN if i < 10 else 100 * quotient(line[i] - line[i - 10], line[i - 10], 0.0) for i in range(len(line))]
    strength = distance(line, smoothing_period, "SMA")
    return line, placed, moved, rates, change(line, 21), strength


def expected(type: str, columns: Mapping[str, Values], p: Mapping[str, Any]) -> tuple[list[float], ...]:
    """Every output of an indicator type with parameters `p`, in the order of the format."""
    opening, high, low, close, volume = (columns[name] for name in ("open", "high", "low", "close", "volume"))
    prices = (high, low, close)
    source = columns[p.get("source", "close")]
    own = {name: value for name, value in p.items() if name != "source"}
    match type:
        case "rsi":
            return (rsi(source, **own),)
        case "roc":
            return (roc(source, **own),)
        case "momentum":
            return (change(source, **own),)
        case "cci":
            return (cci(*prices, **own),)
        case "williamsr":
            return (williams_r(*prices, **own),)
        case "atr":
            return (atr(*prices, **own),)
        case "bollingerbandwidth":
            return (band_width(source, **own),)
        case "squeezeintensity":
            return (squeeze(prices, source, **own),)
        case "simplemovingaverage":
            return (sma(source, **own),)
        case "weightedmovingaverage":
            return (wma(source, **own),)
        case "exponentialmovingaverage":
            return ((adjusted_ema if p["adjust"] else ema)(source, p["period"]),)
        case "distancefromma":
            return (distance(source, **own),)
        case "mfi":
            return (mfi(*prices, volume, **own),)
        case "obv":
            return (obv(close, volume),)
        case "vwap":
            return (vwap(typical(*prices) if p["use_typical_price"] else close, volume, p["period"]),)
        case "volumeratio":
            return ([quotient(v, m, 1.0) for v, m in zip(volume, sma(volume, p["period"]), strict=True)],)
        case "parabolicsar":
            return (parabolic_sar(high, low, **own),)
        case "zigzag":
            return (zigzag(source, **own),)
        case "macd":
            return macd(source, p["fast_period"], p["slow_period"], p["signal_period"])
        case "adx":
            return adx(*prices, **own)
        case "stochastic":
            return stochastic(*prices, **own)
        case "bollingerbands":
            return bollinger(source, **own)
        case "keltnerchannels":
            return keltner(prices, close, **own)
        case "donchianchannels":
            highs, lows = windowed(high, p["period"], max), windowed(low, p["period"], min)
            return highs, middles(high, low, p["period"]), lows
        case "supertrend":
            return supertrend(*prices, **own)
        case "ichimoku":
            return ichimoku(*prices, **own)
        case "aroon":
            return aroon(high, low, **own)
        case "fishertransform":
            return fisher(high, low, **own)
        case "rvi":
            return rvi(opening, *prices, **own)
        case "cmf":
            return cmf(*prices, volume, **own)
        case "adline":
            return adline(*prices, volume, **own)
    raise AssertionError(f"write a reference for {type}")
