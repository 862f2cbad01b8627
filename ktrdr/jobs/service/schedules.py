"""A schedule as a subject of the log: what it is, how far its moments are decided, and what it did last.

Imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktrdr.jobs.events import Instant, JobId, Json, Recorded
from ktrdr.jobs.service.events import (
    FiringSkipped,
    ScheduleChanged,
    ScheduleCreated,
    ScheduleDeleted,
    ScheduleFired,
    SchedulePaused,
    ScheduleResumed,
)
from ktrdr.jobs.service.subject import Subject

#: How a firing came about.
DUE, CATCH_UP, NOW = "due", "catch_up", "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Subject):
    #: `ktrdr.jobs.service.definition`; None if there is none of this name, or none any more.
    definition: Json | None = None
    created_at: Instant | None = None
    created_by: str = ""
    #: Its version when it was created, which tells it from others of the same name before and after it.
    generation: int = 0
    #: Every moment up to this one was fired or skipped, or lies before the definition.
    decided_until: Instant | None = None
    paused_at: Instant | None = None
    paused_by: str = ""
    pause_reason: str = ""
    #: The newest firing.
    last_due_at: Instant | None = None
    last_job_id: JobId | None = None
    last_how: str = ""
    #: The newest moment that was skipped, and why.
    skipped_at: Instant | None = None
    skip_reason: str = ""
    skip_detail: str = ""
    #: How many moments were.
    fired: int = 0
    skipped: int = 0

    @property
    def exists(self) -> bool:
        return self.definition is not None

    @property
    def is_paused(self) -> bool:
        return self.paused_at is not None


_BLANK = Schedule(id=JobId(""))
_OWN = tuple(name for name in Schedule.__slots__ if name != "definition")


def schedule_changes(schedule: Schedule, recorded: Recorded) -> Mapping[str, Any]:
    match recorded.event:
        case ScheduleCreated(definition=definition):
            return {name: getattr(_BLANK, name) for name in _OWN} | {
                "definition": definition,
                "created_at": recorded.at,
                "created_by": recorded.actor,
                "generation": recorded.version,
                "decided_until": recorded.at,
            }
        case ScheduleChanged(definition=definition):
            return {"definition": definition, "decided_until": _later(schedule, recorded.at)}
        case SchedulePaused(reason=reason):
            return {"paused_at": recorded.at, "paused_by": recorded.actor, "pause_reason": reason}
        case ScheduleResumed():
            return {
                "paused_at": None,
                "paused_by": "",
                "pause_reason": "",
                "decided_until": _later(schedule, recorded.at),
            }
        case ScheduleFired(due_at=due_at, job_id=job_id, how=how):
            last = {"last_due_at": due_at, "last_job_id": job_id, "last_how": how, "fired": schedule.fired + 1}
            return last if how == NOW else last | {"decided_until": _later(schedule, due_at)}
        case FiringSkipped(until=until) as skipped:
            return {
                "skipped_at": until,
                "skip_reason": skipped.reason,
                "skip_detail": skipped.detail,
                "skipped": schedule.skipped + skipped.count,
                "decided_until": _later(schedule, until),
            }
        case ScheduleDeleted():
            return {"definition": None}
    return {}


def _later(schedule: Schedule, moment: Instant) -> Instant:
    """Up to where the moments are decided; that never goes back."""
    return max(schedule.decided_until or moment, moment)
