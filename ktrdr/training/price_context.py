"""The price context that `model.features.include_price_context` adds for each timeframe. Imports numpy only."""

from __future__ import annotations

import numpy as np

from ktrdr.training.indicators.registry import Array, Bars

#: Bars whose mean volume is the usual one.
USUAL_BARS = 20
#: Column → the bars before its first value.
WARM_UP = {"return": 1, "range": 0, "volume_ratio": USUAL_BARS - 1}


def price_context(name: str, bars: Bars) -> Array:
    """One column, a value per bar, NaN where it is not known yet.

    `return`: close over the previous close, less 1. `range`: high less low, over the close. `volume_ratio`: the volume
    over its mean of the last 20 bars, this one included; 1, as usual, where none of them has any.
    """
    with np.errstate(over="ignore"):
        match name:
            case "return":
                return _after(1, bars.close[1:] / bars.close[:-1] - 1.0)
            case "range":
                return (bars.high - bars.low) / bars.close
            case "volume_ratio":
                return _after(USUAL_BARS - 1, _volume_ratio(bars.volume))
    raise ValueError(f"there is no price context {name!r}")


def _volume_ratio(volume: Array) -> Array:
    """From the twentieth bar on. Summed anew for each: a running sum would keep the rounding of volumes long gone."""
    count = max(len(volume) - USUAL_BARS + 1, 0)
    total = np.zeros(count)
    for first in range(USUAL_BARS):
        total += volume[first : first + count]
    newest = volume[len(volume) - count :]
    return np.divide(newest * USUAL_BARS, total, out=np.ones(count), where=total > 0)


def _after(missing: int, values: Array) -> Array:
    return np.concatenate((np.full(missing, np.nan), values))[: missing + len(values)]
