"""How much a model needs each of its inputs: what it loses when that input's values are dealt out at random.

Permutation importance (Breiman, Random Forests, 2001; Fisher et al., All Models are Wrong, 2019). All features of one
input, its lags included, are permuted together, since each of them tells of the others. Imports numpy and torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from ktrdr.training.strategy.names import FeatureColumn
from ktrdr.training.windows import Inputs

Positions = NDArray[np.int64]

#: Samples that are looked at, and rows of their windows; of a larger part a random choice.
MOST_SAMPLES, MOST_ROWS = 20_000, 50_000
REPEATS = 5


class InputImportance(TypedDict):
    input: str
    features: int
    #: Mean fall of the score over the repeats, and its standard deviation; negative = better without.
    score_drop: float
    deviation: float


def by_input(columns: Sequence[FeatureColumn]) -> dict[str, list[int]]:
    """The places of the features of each input on each timeframe, `<timeframe>_<fuzzy set>` or the raw feature's name;
    each kind of price context counts as one."""
    places: dict[str, list[int]] = {}
    for place, column in enumerate(columns):
        places.setdefault(input_name(column), []).append(place)
    return places


def input_name(column: FeatureColumn) -> str:
    """What all features of one input on one timeframe share."""
    return f"{column.timeframe}_{column.of}" + ("_raw" if column.kind == "raw" else "")


def most_samples(inputs: Inputs) -> int:
    """How many samples are looked at, so that the whole takes about as long as an epoch of a small training."""
    return min(MOST_SAMPLES, MOST_ROWS // inputs.shape[1:-1].numel())


def choose_samples(count: int, most: int, seed: int) -> Positions:
    """All positions below `count`, or `most` of them at random, ascending."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def permutation_importance(
    inputs: torch.Tensor,
    groups: Mapping[str, Sequence[int]],
    symbols: Iterable[slice],
    score: Callable[[torch.Tensor], float],
    *,
    seed: int,
) -> list[InputImportance]:
    """What `score` (higher is better) of the inputs loses by each group of columns, the most needed one first.

    `inputs` is (samples, …, features) and comes back unchanged; values are only exchanged within a symbol's samples.
    """
    random = np.random.default_rng(seed)
    base = score(inputs)
    orders = [_permutation(len(inputs), symbols, random) for _ in range(REPEATS)]
    found = []
    for name, columns in groups.items():
        kept = inputs[..., list(columns)]
        drops = []
        for order in orders:
            inputs[..., list(columns)] = kept[order]
            drops.append(base - score(inputs))
        inputs[..., list(columns)] = kept
        found.append(
            InputImportance(
                input=name, features=len(columns), score_drop=float(np.mean(drops)), deviation=float(np.std(drops))
            )
        )
    return sorted(found, key=lambda one: -one["score_drop"])


def _permutation(count: int, symbols: Iterable[slice], random: np.random.Generator) -> torch.Tensor:
    order = np.arange(count)
    for samples in symbols:
        random.shuffle(order[samples])
    return torch.from_numpy(order)
