"""Channels and clouds around the price: Keltner, Donchian, Ichimoku.

Imports the registry, TA-Lib and window arithmetic; NaN stands before the warm-up.
"""

from __future__ import annotations

from ktrdr.training.indicators._series import highest, lagged, lowest
from ktrdr.training.indicators._talib import talib
from ktrdr.training.indicators.registry import Array, Bars, indicator, multiplier, period


@indicator(
    "keltnerchannels",
    outputs=("upper", "middle", "lower"),
    period=period(20, 2, 500),
    atr_period=period(10, 1, 200),
    multiplier=multiplier(2.0),
)
def keltner_channels(bars: Bars, *, period: int, atr_period: int, multiplier: float) -> tuple[Array, Array, Array]:
    """The exponential mean of `period` closes, and `multiplier` average true ranges (Wilder) above and below it."""
    reach = multiplier * talib().ATR(bars.high, bars.low, bars.close, timeperiod=atr_period)
    middle = talib().EMA(bars.close, timeperiod=period)
    return middle + reach, middle, middle - reach


@indicator("donchianchannels", outputs=("upper", "middle", "lower"), period=period(20, 2, 500))
def donchian_channels(bars: Bars, *, period: int) -> tuple[Array, Array, Array]:
    """The highest high and the lowest low of the last `period` bars, this one among them, and their middle."""
    upper, lower = highest(bars.high, period), lowest(bars.low, period)
    return upper, 0.5 * (upper + lower), lower


@indicator(
    "ichimoku",
    outputs=("tenkan", "kijun", "senkou_a", "senkou_b", "chikou"),
    tenkan_period=period(9, 1, 200),
    kijun_period=period(26, 1, 200),
    senkou_b_period=period(52, 1, 500),
    displacement=period(26, 1, 200),
)
def ichimoku(
    bars: Bars, *, tenkan_period: int, kijun_period: int, senkou_b_period: int, displacement: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Ichimoku (Hosoda 1969), as it is known at the bar.

    Tenkan and kijun are the middles of their ranges. The cloud at a bar is what was drawn there `displacement` bars
    ago: senkou A the mean of tenkan and kijun of then, senkou B the middle of the range of then. Chikou, which a chart
    shows in the past, is the close's distance from the one `displacement` bars ago.
    """
    tenkan, kijun, senkou_b = (_middle(bars, period) for period in (tenkan_period, kijun_period, senkou_b_period))
    senkou_a = lagged(0.5 * (tenkan + kijun), displacement)
    return tenkan, kijun, senkou_a, lagged(senkou_b, displacement), bars.close - lagged(bars.close, displacement)


def _middle(bars: Bars, period: int) -> Array:
    return 0.5 * (highest(bars.high, period) + lowest(bars.low, period))
