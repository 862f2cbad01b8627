"""What no event may say after what was recorded of its job before. Imports jobs. Pure.

Checked from the log alone, whatever the code decided that once wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ktrdr.jobs.events import JobClaimed, JobSubmitted, LeaseExpired, Recorded, ServiceEvent
from ktrdr.jobs.state import JobState, Status


def broken_rules(before: JobState, recorded: Recorded) -> Iterator[str]:
    """What is wrong with an event, each as the end of a sentence that begins with it. `before`: the job until then."""
    event = recorded.event
    if recorded.version != before.version + 1:
        yield f"has version {recorded.version} of its job, after version {before.version}"
    if isinstance(event, ServiceEvent):
        yield "is no event of a job"
    elif isinstance(event, JobSubmitted):
        if before.version:
            yield "submits a job that was submitted before"
    elif not before.version:
        yield "is of a job that was never submitted"
    elif isinstance(event, JobClaimed):
        if before.worker is not None:
            yield f"gives the job to {event.worker} while {before.worker} holds it under lease {before.lease_epoch}"
        elif before.status is not Status.QUEUED:
            yield f"gives a job to {event.worker} that is {before.status}, not queued"
        if event.lease_epoch != before.lease_epoch + 1:
            yield f"gives out lease {event.lease_epoch} after lease {before.lease_epoch}"
    elif isinstance(event, LeaseExpired) and (event.worker, event.lease_epoch) != (before.worker, before.lease_epoch):
        yield f"ends lease {event.lease_epoch} of {event.worker}, which does not hold the job"


def comes_after_end(end: int) -> str:
    """The same for an event of a job that had ended at position `end`."""
    return f"comes after the end of its job at position {end}"
