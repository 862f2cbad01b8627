"""Windows: the last rows before and at each sample, which a recurrent network reads. Imports numpy and torch.

A window lies within one symbol and one part, over bars that follow each other without a gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ktrdr.training.split import Split

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Windows:
    """A tensor of shape (samples, length, features) whose windows are put together when they are asked for.

    Neighbouring windows share all rows but one, so the tensor itself would be `length` times as large as its rows. What
    a tensor of one row per sample can do for the training, this can too: be indexed, split and moved to a device.
    """

    #: float32 (rows, features).
    rows: torch.Tensor
    #: int64 (samples,): the row at which each sample's window ends.
    ends: torch.Tensor
    length: int

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.ends), self.length, self.rows.shape[1]))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, samples: torch.Tensor | slice) -> Windows:
        """The chosen samples, in that order."""
        return replace(self, ends=self.ends[samples])

    def to(self, device: str) -> Windows:
        return replace(self, rows=self.rows.to(device), ends=self.ends.to(device))

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """One tensor after the other, each of `size` windows; the last one may be smaller."""
        steps = torch.arange(1 - self.length, 1, device=self.ends.device)
        for ends in torch.split(self.ends, size):
            positions = (ends.unsqueeze(1) + steps).flatten()
            yield self.rows.index_select(0, positions).view(len(ends), *self.shape[1:])


#: What a network reads of the samples: (samples, features), or (samples, length, features) for a recurrent one.
Inputs = torch.Tensor | Windows


def take(inputs: Inputs, samples: torch.Tensor) -> Inputs:
    """The chosen samples, in that order."""
    # Four times as fast for a tensor as an index in brackets.
    return inputs.index_select(0, samples) if isinstance(inputs, torch.Tensor) else inputs[samples]


def concatenate(inputs: Sequence[Inputs]) -> Inputs:
    """The samples of all, one after the other; windows never reach from one into the next."""
    if len(inputs) == 1:
        return inputs[0]
    tensors = [one for one in inputs if isinstance(one, torch.Tensor)]
    if len(tensors) == len(inputs):
        return torch.cat(tensors)
    windows = [one for one in inputs if isinstance(one, Windows)]
    firsts = np.cumsum([0, *(len(one.rows) for one in windows[:-1])]).tolist()
    return Windows(
        rows=torch.cat([one.rows for one in windows]),
        ends=torch.cat([one.ends + first for one, first in zip(windows, firsts, strict=True)]),
        length=windows[0].length,
    )


def rows_with_window(rows: Positions, complete: Positions, length: int) -> Positions:
    """Those of `rows` at which a window ends: the bar and the `length` - 1 before it are all among `complete`.

    Both are positions of bars, ascending, and every one of `rows` is among `complete`.
    """
    first = np.searchsorted(complete, rows) - (length - 1)
    has_window = (first >= 0) & (complete[np.maximum(first, 0)] == rows - (length - 1))
    found: Positions = rows[has_window]
    return found


def samples_with_window(split: Split, complete: Positions, length: int) -> Split:
    """The split without the samples whose window would reach over a gap, or back before their part's first sample.

    `complete` are the bars of which every feature is known. Those without a label may be part of a window.
    """

    def keep(rows: Positions) -> Positions:
        own = complete[np.searchsorted(complete, rows[0]) :] if len(rows) else complete
        return rows_with_window(rows, own, length)

    train, validation, test = keep(split.train), keep(split.validation), keep(split.test)
    in_parts = sum(map(len, (split.train, split.validation, split.test)))
    dropped = in_parts - len(train) - len(validation) - len(test)
    return Split(train, validation, test, split.left_out + dropped)
