"""A job at one moment, with everything that its page shows: a fold of its events up to there.

Imports jobs and the store. Asked in the thread for the past: a long job has thousands of events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktrdr.api.dashboard.attempts import Attempt, attempts_of
from ktrdr.api.dashboard.headline import Headline, headline
from ktrdr.api.dashboard.timeline import Stretch, timeline
from ktrdr.jobs.events import (
    CheckpointSaved,
    EpochFinished,
    Instant,
    JobClaimed,
    JobId,
    JobSubmitted,
    Position,
    StageFinished,
    TrainingResumed,
)
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.jobs.state import JobState, Status
from ktrdr.problems import not_found
from ktrdr.sentences import sentence
from ktrdr.store.course import counts_by_type, course_of, newest_events
from ktrdr.store.history import job_as_of
from ktrdr.store.reader import Reader, StoredEvent

#: Events in the list of a page.
EVENTS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event as the list shows it."""

    position: int
    version: int
    type: str
    at: str
    actor: str
    sentence: str
    #: Its data as indented JSON; None where it was pruned.
    data: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something to be seen in the curves: `checkpoint` or `attempt` at the end of an epoch."""

    kind: str
    epoch: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMoment:
    job: JobState
    #: The position of the log that the page is as of, and when that was.
    position: int
    at: Instant
    #: Whether it is a moment of the past rather than the present.
    is_past: bool
    #: Version of the job now, whatever moment is shown.
    versions: int
    submitted: JobSubmitted
    submitted_by: str
    headline: Headline
    stretches: Sequence[Stretch]
    attempts: Sequence[Attempt]
    #: Epochs by number, each as the newest attempt trained it.
    epochs: Sequence[EpochFinished]
    marks: Sequence[Mark]
    #: Stage → what it found.
    facts: Mapping[str, Mapping[str, Any]]
    #: Epochs with a checkpoint that was saved, oldest first.
    checkpoints: Sequence[CheckpointSaved]
    #: Type → how many of them there are.
    counts: Mapping[str, int]

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the least validation loss so far; of a finished training the one whose weights were kept."""
        if self.job.best_epoch is not None:
            return self.job.best_epoch
        best = min(self.epochs, key=lambda epoch: epoch.validation_loss, default=None)
        return best.epoch if best else None


def moment_of(reader: Reader, job_id: JobId, as_of: int | None, now: Instant, waiting: bool = True) -> JobMoment:
    """The job as of a position of the log, or now. Raises UnknownJobError, or a problem if it was submitted later."""
    newest = reader.job(job_id)
    last = reader.last_position()
    if as_of is None or as_of >= last:
        state, position, at = newest, last, now
        is_past = False
    else:
        before = job_as_of(reader, job_id, as_of)
        if before is None:
            raise not_found(
                f"job {job_id} was not submitted yet as of position {as_of}", fix=f"see it now, at /jobs/{job_id}"
            )
        state, position = before, as_of
        at = Instant(reader.events(after=as_of - 1, limit=1)[0].recorded_at)
        is_past = True
    stored = course_of(reader, job_id, until=position)
    history = [event.recorded for event in stored]
    if not history or not isinstance(submitted := history[0].event, JobSubmitted):
        raise UnknownJobError(job_id)
    epochs: dict[int, EpochFinished] = {}
    marks: list[Mark] = []
    facts: dict[str, Mapping[str, Any]] = {}
    checkpoints: list[CheckpointSaved] = []
    for recorded in history:
        event, place = recorded.event, recorded.position
        match event:
            case EpochFinished(epoch=epoch):
                epochs = {number: one for number, one in epochs.items() if number < epoch} | {epoch: event}
            case CheckpointSaved(epoch=epoch):
                checkpoints.append(event)
                marks.append(Mark(kind="checkpoint", epoch=epoch, position=place))
            case JobClaimed(attempt=attempt, continues=None) if attempt > 1 and epochs:
                marks.append(Mark(kind=f"attempt {attempt}", epoch=max(epochs), position=place))
            case StageFinished(name=name):
                facts[name] = event.facts
            case TrainingResumed(epoch=0):
                epochs = {}
    epoch_list = [epochs[number] for number in sorted(epochs)]
    why = reader.why_waiting(state) if not is_past and state.status is Status.QUEUED else None
    # The clock of the one who asks is not before the log's.
    until = max(at, history[-1].at)
    return JobMoment(
        job=state, position=position, at=at, is_past=is_past, versions=newest.version,
        submitted=submitted, submitted_by=history[0].actor,
        headline=headline(state, epoch_list, now=until, waiting=why),
        stretches=timeline(history, until),
        attempts=attempts_of(history),
        epochs=epoch_list,
        marks=marks,
        facts=facts,
        checkpoints=checkpoints,
        counts=counts_by_type(reader, job_id, until=position),
    )  # fmt: skip


def told(events: Sequence[StoredEvent]) -> list[Told]:
    """Events as the list shows them."""
    return [_told(event) for event in events]


def event_list(
    reader: Reader, job_id: JobId, *, until: int, before: int | None, types: Sequence[str]
) -> tuple[list[Told], int | None]:
    """A page of events, newest first, and the version before which there are more."""
    found = newest_events(reader, job_id, until=until, before=before, types=types, limit=EVENTS + 1)
    return told(found[:EVENTS]), found[EVENTS - 1].version if len(found) > EVENTS else None


def _told(event: StoredEvent) -> Told:
    data = json.loads(event.data) if event.data else None
    view: Any = {"type": event.type, "data": data}
    return Told(
        position=Position(event.position),
        version=event.version,
        type=event.type,
        at=event.recorded_at,
        actor=event.actor,
        sentence=sentence(view),
        data=None if data is None else json.dumps(data, indent=2, ensure_ascii=False),
    )
