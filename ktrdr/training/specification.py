"""What one training is asked to do: the strategy, the exact price data and the seed.

Built by the API at submission, carried in the job's first event, read by the pipeline. It fixes the result: two
trainings of equal specifications under one numeric profile give the same weights. Imports the grammar only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktrdr.training.strategy.model import Strategy
from ktrdr.training.strategy.parse import from_mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceReference:
    """One series of price data, named by the SHA-256 of its stored bytes (see `ktrdr.training.prices`)."""

    symbol: str
    timeframe: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextReference:
    """One series of context data, named like the price data (see `ktrdr.training.series`)."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    strategy: Strategy
    #: At least one timeframe of each symbol; longer ones may be resampled from it.
    prices: tuple[PriceReference, ...]
    seed: int
    context: tuple[ContextReference, ...] = ()


def specification_of(
    strategy: Mapping[str, Any], *, prices: Sequence[Mapping[str, Any]], context: Sequence[Mapping[str, Any]], seed: int
) -> Specification:
    """The specification from plain data, as a job's first event holds it.

    Raises InvalidInputError for a strategy that this version does not take.
    """
    return Specification(
        strategy=from_mapping(strategy).strategy,
        prices=tuple(PriceReference(**price) for price in prices),
        context=tuple(ContextReference(**one) for one in context),
        seed=seed,
    )
