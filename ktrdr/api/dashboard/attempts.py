"""The attempts of a job: which worker, on what, from when to when, and how each ended. Imports jobs only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ktrdr.jobs.events import (
    Instant,
    JobCancelled,
    JobClaimed,
    JobCompleted,
    JobFailed,
    JobRequeued,
    Json,
    LeaseExpired,
    Recorded,
    TrainingResumed,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One claim of the job: an attempt goes on under a second one where its worker was cut off and came back."""

    number: int
    lease_epoch: int
    worker: str
    worker_kind: str
    device: str
    capabilities: Json
    numeric_profile: Json
    #: Why it ran without a GPU; otherwise empty.
    fallback: str
    #: Whether it goes on with what the lease before had begun.
    is_continued: bool
    #: The epoch that it went on from; 0 = the start.
    resumed_from: int = 0
    began: Instant
    #: None while it lasts.
    ended: Instant | None = None
    #: How it ended, in words; empty while it lasts.
    outcome: str = ""
    #: Of the claim.
    position: int


def attempts_of(history: Iterable[Recorded]) -> list[Attempt]:
    """The attempts in a job's history, oldest first."""
    found: list[Attempt] = []
    for recorded in history:
        event = recorded.event
        if isinstance(event, JobClaimed):
            found.append(_begin(recorded, event))
        elif found:
            found[-1] = _changed(found[-1], recorded)
    return found


def _begin(recorded: Recorded, claimed: JobClaimed) -> Attempt:
    return Attempt(
        number=claimed.attempt,
        lease_epoch=claimed.lease_epoch,
        worker=claimed.worker,
        worker_kind=claimed.worker_kind,
        device=str(claimed.capabilities.get("device", "")),
        capabilities=claimed.capabilities,
        numeric_profile=claimed.numeric_profile,
        fallback=claimed.fallback,
        is_continued=claimed.continues is not None,
        began=recorded.at,
        position=recorded.position,
    )


def _changed(attempt: Attempt, recorded: Recorded) -> Attempt:
    if attempt.ended is not None and not isinstance(recorded.event, JobRequeued):
        return attempt
    match recorded.event:
        case TrainingResumed(epoch=epoch):
            return replace(attempt, resumed_from=epoch)
        case LeaseExpired():
            return replace(attempt, ended=recorded.at, outcome="its worker was lost")
        case JobRequeued(message=message) if attempt.ended is None:
            return replace(attempt, ended=recorded.at, outcome=message)
        case JobCompleted():
            return replace(attempt, ended=recorded.at, outcome="completed")
        case JobFailed(message=message):
            return replace(attempt, ended=recorded.at, outcome=f"failed: {message}")
        case JobCancelled():
            return replace(attempt, ended=recorded.at, outcome="cancelled")
    return attempt
