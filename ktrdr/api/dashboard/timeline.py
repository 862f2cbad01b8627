"""What a job did when: stretches of time that follow each other without gap or overlap. Imports jobs only.

From the submission to the end (or to now) every moment belongs to exactly one stretch: waiting is one as well, and so
is the silence of a worker that was lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from ktrdr.jobs.events import (
    CancellationRequested,
    Instant,
    JobClaimed,
    JobRequeued,
    JobSubmitted,
    LeaseExpired,
    Recorded,
    StageFinished,
    StageStarted,
    TerminalEvent,
)
from ktrdr.sentences import seconds_between, words


class Kind(StrEnum):
    #: In the queue.
    WAITING = "waiting"
    #: Claimed, and no stage has begun yet.
    STARTING = "starting"
    #: In one of the stages.
    STAGE = "stage"
    #: The last stage is over and its result on its way.
    FINISHING = "finishing"
    #: The worker has said nothing more; at its end it counts as lost.
    SILENT = "silent"
    #: A cancellation was requested and the worker has not stopped yet.
    CANCELLING = "cancelling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    kind: Kind
    #: Of a stage: its name.
    stage: str = ""
    #: 0 before the first claim.
    attempt: int
    start: Instant
    end: Instant
    #: Of the event that began it.
    position: int

    @property
    def seconds(self) -> float:
        return seconds_between(self.start, self.end)

    @property
    def title(self) -> str:
        """What happened in it, in words."""
        match self.kind:
            case Kind.WAITING:
                return "waiting again" if self.attempt else "waiting"
            case Kind.STARTING:
                return "starting"
            case Kind.STAGE:
                return words(self.stage)
            case Kind.FINISHING:
                return "handing in the result"
            case Kind.SILENT:
                return "no word from the worker"
            case Kind.CANCELLING:
                return "stopping"


def timeline(history: Iterable[Recorded], until: Instant) -> list[Stretch]:
    """The stretches of a job from its submission to its last event if that ended it, otherwise to `until`.

    Stretches without any length are left out. `until` is not before the last event.
    """
    found: list[Stretch] = []
    current: Stretch | None = None
    heard, is_over = until, False
    for recorded in history:
        if current is None:
            if isinstance(recorded.event, JobSubmitted):
                current = _begin(recorded, Kind.WAITING, 0)
            heard = recorded.at
            continue
        if isinstance(recorded.event, LeaseExpired):
            # Since the last that was heard of it, nobody knows what the worker did.
            found.append(replace(current, end=heard))
            current = replace(current, kind=Kind.SILENT, stage="", start=heard)
        if (following := _following(current, recorded)) is not None:
            found.append(replace(current, end=recorded.at))
            current = following
        heard = recorded.at
        is_over = isinstance(recorded.event, TerminalEvent)
    if current is not None:
        found.append(replace(current, end=heard if is_over else max(until, heard)))
    return [stretch for stretch in found if stretch.start < stretch.end]


def _following(current: Stretch, recorded: Recorded) -> Stretch | None:
    """The stretch that an event begins; None if the one before goes on."""
    match recorded.event:
        case JobClaimed(attempt=attempt):
            return _begin(recorded, Kind.STARTING, attempt)
        case JobRequeued():
            return _begin(recorded, Kind.WAITING, current.attempt)
        case CancellationRequested() if current.kind is not Kind.WAITING:
            return _begin(recorded, Kind.CANCELLING, current.attempt)
        case StageStarted(name=name) if current.kind is not Kind.CANCELLING:
            return replace(_begin(recorded, Kind.STAGE, current.attempt), stage=name)
        case StageFinished(number=number, total=total) if number == total and current.kind is not Kind.CANCELLING:
            return _begin(recorded, Kind.FINISHING, current.attempt)
    return None


def _begin(recorded: Recorded, kind: Kind, attempt: int) -> Stretch:
    return Stretch(kind=kind, attempt=attempt, start=recorded.at, end=recorded.at, position=recorded.position)
