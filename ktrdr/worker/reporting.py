"""From what a training says to the events of its job. Imports jobs and training's progress only."""

from __future__ import annotations

from dataclasses import fields

from ktrdr.jobs import events
from ktrdr.training import progress
from ktrdr.worker.job_process import JobProcessDiedError
from ktrdr.worker.messages import Broke, CheckpointWritten, Trained

#: A training's word → the event that records it; the fields are the same.
_EVENTS: dict[type[progress.Progress], type[events.ProgressEvent]] = {
    progress.StageStarted: events.StageStarted,
    progress.StageFinished: events.StageFinished,
    progress.BatchFinished: events.BatchProgressed,
    progress.EpochFinished: events.EpochFinished,
    progress.Resumed: events.TrainingResumed,
}


def to_event(said: progress.Progress) -> events.ProgressEvent:
    return _EVENTS[type(said)](**{field.name: getattr(said, field.name) for field in fields(said)})


def saved(written: CheckpointWritten) -> events.CheckpointSaved:
    """The event for a checkpoint that has reached the service's disk."""
    return events.CheckpointSaved(epoch=written.epoch, digest=written.digest, bytes=written.bytes)


def completed(trained: Trained) -> events.JobCompleted:
    return events.JobCompleted(**{field.name: getattr(trained, field.name) for field in fields(trained)})


def process_died(error: JobProcessDiedError) -> Broke:
    """What is said of an attempt whose process ended by itself."""
    return Broke(
        kind="process_died",
        message=str(error),
        where="",
        fix="look at the worker's log and the machine's memory",
        retryable=True,
    )


def failed(broke: Broke) -> events.JobFailed:
    return events.JobFailed(**{field.name: getattr(broke, field.name) for field in fields(broke)})
