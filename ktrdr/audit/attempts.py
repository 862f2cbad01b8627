"""Which attempts of a job its result comes from, and what each of them did. Imports jobs. Pure.

An attempt that went on from a checkpoint carries the work of the one that saved it; an attempt that began anew carries
nothing of those before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ktrdr.jobs.events import (
    CheckpointSaved,
    EpochFinished,
    Instant,
    JobClaimed,
    Recorded,
    StageFinished,
    TrainingResumed,
)


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try of a job, under one lease or several that went on with it."""

    claimed: JobClaimed
    claimed_at: Instant
    #: How it went on from a checkpoint; None if it began at the start.
    resumed: TrainingResumed | None = None
    #: By name.
    stages: dict[str, StageFinished] = field(default_factory=dict)
    #: By number.
    epochs: dict[int, EpochFinished] = field(default_factory=dict)
    #: Digests of the checkpoints that it saved.
    saved: set[str] = field(default_factory=set)

    @property
    def resumed_from(self) -> int:
        """The last epoch that it did not train itself; 0 if it began at the start."""
        return self.resumed.epoch if self.resumed else 0


def attempts_of(history: Iterable[Recorded]) -> list[Attempt]:
    """Every attempt of a job, the oldest first."""
    attempts: list[Attempt] = []
    for recorded in history:
        match recorded.event:
            case JobClaimed() as claimed if claimed.continues is None or not attempts:
                attempts.append(Attempt(claimed=claimed, claimed_at=recorded.at))
            case TrainingResumed() as resumed if attempts:
                attempts[-1].resumed = resumed
            case StageFinished() as stage if attempts:
                attempts[-1].stages[stage.name] = stage
            case EpochFinished() as epoch if attempts:
                attempts[-1].epochs[epoch.epoch] = epoch
            case CheckpointSaved() as saved if attempts:
                attempts[-1].saved.add(saved.digest)
    return attempts


def contributing(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Those that the job's last attempt carries the work of, and itself; the oldest first."""
    chain = list(attempts[-1:])
    for attempt in reversed(attempts[:-1]):
        begun = chain[0].resumed
        if begun is None or begun.digest is None:
            break
        if begun.digest in attempt.saved:
            chain.insert(0, attempt)
    return chain


def epochs_of(chain: Iterable[Attempt]) -> dict[int, EpochFinished]:
    """The epochs that led to the result, by number: of each attempt those that the next one went on from."""
    epochs: dict[int, EpochFinished] = {}
    for attempt in chain:
        kept = {number: epoch for number, epoch in epochs.items() if number <= attempt.resumed_from}
        epochs = kept | attempt.epochs
    return epochs
