"""The order in which a training meets its samples. Imports torch only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from ktrdr.training.dataset import Part


class Batch(NamedTuple):
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
    """The samples in this order, cut into batches; the last one may be smaller."""
    features = torch.split(part.features[order], batch_size)
    targets = torch.split(part.targets[order], batch_size)
    weights = [None] * len(targets) if part.weights is None else torch.split(part.weights[order], batch_size)
    return map(Batch, features, targets, weights)
