"""The order in which a training meets its samples. Imports torch only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from ktrdr.training.dataset import Part
from ktrdr.training.windows import take

#: Batches that are put in order together: enough to cost little each, too few to be a second copy of the data.
_BATCHES_PUT_IN_ORDER = 64


class Batch(NamedTuple):
    #: (samples, features) or (samples, window length, features).
    features: torch.Tensor
    targets: torch.Tensor
    #: None = all alike.
    weights: torch.Tensor | None


def balanced_order(symbols: Iterable[slice], generator: torch.Generator) -> torch.Tensor:
    """Positions of an epoch's samples in random order, as many from each symbol.

    Each sample of the largest symbol comes once; those of a smaller one are gone through again until it has as many,
    so none is left out.
    """
    ranges = [samples for samples in symbols if samples.stop > samples.start]
    most = max(samples.stop - samples.start for samples in ranges)
    drawn = [_draw(samples, most, generator) for samples in ranges]
    order = torch.cat(drawn)
    return order if len(drawn) == 1 else order[torch.randperm(len(order), generator=generator)]


def _draw(samples: slice, count: int, generator: torch.Generator) -> torch.Tensor:
    size = samples.stop - samples.start
    rounds = [torch.randperm(size, generator=generator) for _ in range(math.ceil(count / size))]
    return torch.add(torch.cat(rounds)[:count], samples.start)


def batches_of(part: Part, order: torch.Tensor, batch_size: int) -> Iterator[Batch]:
    """The samples in this order, cut into batches; the last one may be smaller. Windows are gathered batch by batch."""
    for chosen in torch.split(order, batch_size * _BATCHES_PUT_IN_ORDER):
        features = take(part.features, chosen).split(batch_size)
        targets = torch.split(part.targets[chosen], batch_size)
        weights = [None] * len(targets) if part.weights is None else torch.split(part.weights[chosen], batch_size)
        yield from map(Batch, features, targets, weights)
