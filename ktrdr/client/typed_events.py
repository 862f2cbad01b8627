"""Events as typed values for programs, which print as sentences for people. Imports jobs.

for happened in job.follow():
    match happened.event:
        case EpochFinished(epoch=epoch, validation_loss=loss):
            print(epoch, loss)
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ktrdr.jobs.codec import decode
from ktrdr.jobs.events import JobEvent, Pruned, ServiceEvent

if TYPE_CHECKING:
    from ktrdr.api.views import EventView


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent:
    """An event of a service that is newer than this client."""

    type: str
    schema: int
    data: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One event with its place in the log; as text it is a sentence."""

    position: int
    #: 1, 2, 3, … within the job, without gaps.
    version: int
    job_id: str
    #: When the log recorded it, in UTC.
    at: datetime
    #: Who caused it: `client:…`, `worker:…`, `scheduler`.
    actor: str
    event: JobEvent | ServiceEvent | Pruned | UnknownEvent
    #: The event as the API gives it.
    view: EventView = field(repr=False)

    def __str__(self) -> str:
        from ktrdr.sentences import sentence

        return sentence(self.view)


def typed(view: EventView) -> Happened:
    """The API's event as a typed value."""
    return Happened(
        position=view["position"],
        version=view["version"],
        job_id=view["job_id"],
        at=datetime.fromisoformat(view["recorded_at"]),
        actor=view["actor"],
        event=_event(view),
        view=view,
    )


def _event(view: EventView) -> JobEvent | ServiceEvent | Pruned | UnknownEvent:
    text = "" if view["data"] is None else json.dumps(view["data"])
    try:
        return decode(view["type"], view["schema"], text)
    except (ValueError, TypeError, LookupError):
        return UnknownEvent(type=view["type"], schema=view["schema"], data=view["data"])
