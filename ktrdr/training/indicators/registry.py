"""What an indicator type is: its name, parameters, outputs and the function that computes it.

To add an indicator, write one function over `Bars` and put `@indicator(...)` above it; the grammar, the validator and
the pipeline learn of it from `REGISTRY`. Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bars:
    """The columns of a price frame as float64 arrays of one length, oldest bar first.

    A series that begins later than its frame holds NaN until then, in every column.
    """

    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array

    def column(self, name: str) -> Array:
        """The column that a `source` parameter names."""
        return {
            "open": self.open,
            "high": self.high,
            "low": self.low,
            "close": self.close,
            "volume": self.volume,
        }[name]

    def typical(self) -> Array:
        """The typical price: the mean of high, low and close."""
        return (self.high + self.low + self.close) / 3.0

    def known_from(self) -> int:
        """The first bar of which every column is known; the number of bars if there is none."""
        return max(map(_known_from, (self.open, self.high, self.low, self.close, self.volume)))

    def since(self, first: int) -> Bars:
        """The bars from `first` on."""
        return Bars(self.open[first:], self.high[first:], self.low[first:], self.close[first:], self.volume[first:])


def _known_from(column: Array) -> int:
    if len(column) == 0 or not np.isnan(column[0]):
        return 0
    known = ~np.isnan(column)
    return int(known.argmax()) if known.any() else len(column)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of an indicator type: its default, what it may be, and other names that files use for it."""

    default: int | float | str | bool
    low: float | None = None
    high: float | None = None
    #: Whether `low` itself is refused, and `high` itself.
    low_open: bool = False
    high_open: bool = False
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def kind(self) -> Literal["integer", "number", "choice", "boolean"]:
        match self.default:
            case bool():
                return "boolean"
            case int():
                return "integer"
            case float():
                return "number"
            case _:
                return "choice"


#: The price column an indicator reads, where it reads only one.
SOURCE = Parameter(default="close", choices=("open", "high", "low", "close", "volume"))


#: The same where only a price makes sense.
PRICE = Parameter(default="close", choices=("open", "high", "low", "close"))


def period(default: int, low: int, high: int, *aliases: str) -> Parameter:
    """A whole number of bars between `low` and `high`."""
    return Parameter(default=default, low=low, high=high, aliases=aliases)


def multiplier(default: float) -> Parameter:
    """How many deviations or average ranges a band lies from its middle."""
    return Parameter(default=default, low=0.0, high=10.0, low_open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorType:
    name: str
    aliases: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    #: Names of the outputs in order; empty when there is one, whose column is the indicator's id alone.
    outputs: tuple[str, ...]
    #: One array per output, each as long as the bars, NaN where the value is not known yet.
    compute: Callable[..., Sequence[Array]]


#: Canonical type name → type. Aliases are in `IndicatorType.aliases`; `find` resolves both.
REGISTRY: dict[str, IndicatorType] = {}


def indicator(
    name: str, *, aliases: tuple[str, ...] = (), outputs: tuple[str, ...] = (), **parameters: Parameter
) -> Callable[[Callable[..., Sequence[Array]]], Callable[..., Sequence[Array]]]:
    """Registers the decorated function as the indicator type `name`."""

    def register(compute: Callable[..., Sequence[Array]]) -> Callable[..., Sequence[Array]]:
        REGISTRY[name] = IndicatorType(
            name=name, aliases=aliases, parameters=parameters, outputs=outputs, compute=compute
        )
        return compute

    return register


def find(name: str) -> IndicatorType | None:
    """The type called `name`, by its own name or an alias, whatever the case of the letters."""
    wanted = name.lower()
    return REGISTRY.get(wanted) or next((t for t in REGISTRY.values() if wanted in t.aliases), None)
