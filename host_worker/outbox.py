"""The events of one attempt on their way to the service: numbered, in order, none lost and none twice.

Imports jobs only. Pure: whoever sends decides when and how. The service counts what it has recorded of an attempt,
under whatever lease, and leaves out what it has seen before; so a batch whose answer was lost is simply sent again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ktrdr.jobs.codec import encode
from ktrdr.jobs.events import ProgressEvent

#: The service takes 1,000 events and 1,000,000 bytes at once.
LARGEST_EVENTS = 500
LARGEST_BYTES = 500_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that follow each other."""

    #: Number of the first one within the attempt, from 0.
    first: int
    events: tuple[ProgressEvent, ...]


class Outbox:
    """What was not acknowledged yet. Not safe to use from several threads at once."""

    def __init__(self) -> None:
        #: Events and the bytes of each.
        self._waiting: deque[tuple[ProgressEvent, int]] = deque()
        #: So many events have arrived; the first one that waits has this number.
        self.acknowledged = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, event: ProgressEvent) -> None:
        """Adds what happened last. Raises ValueError for an event that no log can hold."""
        self._waiting.append((event, len(encode(event).encode())))

    def batch(self, most: int = LARGEST_EVENTS) -> Batch | None:
        """What to send next, at most so many events; the same again until it is acknowledged. None if nothing waits."""
        chosen: list[ProgressEvent] = []
        size = 0
        for event, length in self._waiting:
            size += length
            if chosen and (size > LARGEST_BYTES or len(chosen) >= most):
                break
            chosen.append(event)
        return Batch(self.acknowledged, tuple(chosen)) if chosen else None

    def acknowledge(self, batch: Batch) -> None:
        """The service has this batch, and everything before it."""
        while self._waiting and self.acknowledged < batch.first + len(batch.events):
            self._waiting.popleft()
            self.acknowledged += 1

    def drop_first(self) -> None:
        """Forgets an event that the service will never accept; the next one takes its number."""
        self._waiting.popleft()
