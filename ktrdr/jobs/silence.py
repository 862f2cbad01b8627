"""Noticing that something has fallen silent, by the observer's own steady clock. Imports the standard library only.

Whoever lives counts up; an observer looks now and then, and a counter that did not move for the whole patience belongs
to the dead. No wall clock is read and none is compared with another machine's: one that is set back or forward takes
nothing from anybody. An observer that is new knows nothing, so everyone gets the full time from its first look on.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class Silence(Generic[Key]):
    """What an observer remembers from look to look."""

    #: Seconds without a movement after which something counts as dead.
    patience: float
    _seen: dict[Key, tuple[int, float]] = field(default_factory=dict)

    def observe(self, counters: Mapping[Key, int], now: float) -> list[Key]:
        """Those of `counters` that have been silent for the whole patience, by a steady clock that shows `now`.

        What is not among the counters any more is forgotten.
        """
        before = self._seen
        self._seen = {
            key: before[key] if before.get(key, (None,))[0] == count else (count, now)
            for key, count in counters.items()
        }
        return [key for key, (_, since) in self._seen.items() if now - since >= self.patience]
