"""Who did what: the events of the log that somebody decided on, newest first. Imports jobs and the store's own parts.

No index by type or actor is kept, because each job would have to be written into it. So the log is looked through
backwards, a bounded part at a time.
"""

from __future__ import annotations

from sqlalchemy import select

from ktrdr.jobs.events import CancellationRequested, JobSubmitted
from ktrdr.jobs.service.events import SERVICE_EVENTS
from ktrdr.store.reader import Reader, StoredEvent
from ktrdr.store.schema import events

#: What happens because someone wants it, and not because a job goes on.
ACTION_TYPES = tuple(event.__name__ for event in (JobSubmitted, CancellationRequested, *SERVICE_EVENTS))
#: Events that one question looks through; it then gives what it has, and where to go on.
MOST_LOOKED_AT = 200_000
_PART = 20_000


def find_actions(
    reader: Reader, *, first: int, last: int, actor: str | None = None, limit: int
) -> tuple[list[StoredEvent], int | None]:
    """The newest actions at the positions `first` to `last`, and the position to go on from; None if that is all."""
    found: list[StoredEvent] = []
    enough = last - MOST_LOOKED_AT
    while last >= first and last > enough:
        begin = max(first, last - _PART + 1)
        query = select(events).where(
            events.c.position >= begin, events.c.position <= last, events.c.type.in_(ACTION_TYPES)
        )
        if actor is not None:
            query = query.where(events.c.actor == actor)
        wanted = limit - len(found)
        rows = reader.rows(query.order_by(events.c.position.desc()).limit(wanted))
        found += [StoredEvent(**row._mapping) for row in rows]
        last = rows[-1].position - 1 if len(rows) == wanted else begin - 1
        if len(found) == limit:
            break
    return found, last if last >= first else None
