"""The newest events of the log, encoded for streams: read once for each change, however many streams wait for it.

Imports the store and this package's own parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ktrdr.api.views import event_text
from ktrdr.api.watch import LogWatch
from ktrdr.store.reader import Reader, StoredEvent

#: As many are kept for streams that are a little behind; those further behind read the log themselves.
KEPT = 2000
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as a stream sends it."""

    position: int
    job_id: str
    type: str
    data: bytes


def frame_of(event: StoredEvent) -> Frame:
    """The event as server-sent events write it: its position is its id."""
    text = f"id: {event.position}\nevent: {event.type}\ndata: {event_text(event)}\n\n"
    return Frame(event.position, event.job_id, event.type, text.encode())


class Tail:
    """The end of the log. Positions have no gaps, so a stream's place is found by its number."""

    def __init__(self, reader: Reader, watch: LogWatch) -> None:
        self._reader = reader
        self._watch = watch
        self._frames: list[Frame] = []
        #: The position before the first frame that is kept.
        self._before = 0
        self._seen_at: asyncio.Event | None = None

    def read(self) -> asyncio.Event:
        """Looks for what is new, unless that was done since the last change; gives the next one to wait for."""
        change = self._watch.next_change()
        if change is not self._seen_at:
            if self._seen_at is None or self._reader.last_position() - self.last > KEPT:
                self._frames, self._before = [], self._reader.last_position()
            while page := self._reader.events(after=self.last, limit=_PAGE):
                self._frames += map(frame_of, page)
            if len(self._frames) > 2 * KEPT:
                del self._frames[:-KEPT]
                self._before = self._frames[0].position - 1
            self._seen_at = change
        return change

    @property
    def last(self) -> int:
        """The newest position that was read."""
        return self._before + len(self._frames)

    def after(self, position: int) -> Sequence[Frame] | None:
        """What follows a position, up to `last`; None if not all of it is kept."""
        return None if position < self._before else self._frames[position - self._before :]
