"""What the log says of one training, as far as training it again can confirm it. Imports jobs. Pure.

A job that went on from a checkpoint of the job that it repeats did not record the epochs before it: that job did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ktrdr.audit.attempts import Attempt, attempts_of
from ktrdr.audit.causes import device_of
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.codec import TERMINAL_TYPES
from ktrdr.jobs.events import (
    EpochFinished,
    JobCompleted,
    JobFailed,
    JobId,
    JobSubmitted,
    Json,
    Recorded,
    StageFinished,
    TerminalEvent,
)


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one attempt said of an epoch."""

    job_id: JobId
    attempt: Attempt
    finished: EpochFinished


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    job_id: JobId
    submitted: JobSubmitted
    #: By number; of each at least one, the newest last.
    epochs: Mapping[int, Sequence[EpochRecord]]
    #: By name; the newest of each.
    stages: Mapping[str, StageFinished]
    #: None while the job goes on.
    end: TerminalEvent | None
    #: Those whose newest word something of this is, the oldest first.
    attempts: Sequence[Attempt]
    #: All of the job's own.
    tried: Sequence[Attempt]

    @property
    def has_model(self) -> bool:
        return isinstance(self.end, JobCompleted)

    @property
    def failure(self) -> JobFailed | None:
        """The end of a training that cannot end otherwise: it fails again, with the same words."""
        return self.end if isinstance(self.end, JobFailed) and not self.end.retryable else None

    @property
    def is_comparable(self) -> bool:
        return bool(self.epochs or self.stages or self.failure) or self.has_model

    @property
    def went_on_from(self) -> Json | None:
        """The checkpoint of the job that this one repeats, if an attempt went on from it."""
        given = self.submitted.starts_from
        if given is None or given == self.submitted.forked_from:
            return None
        is_used = any(one.resumed and one.resumed.digest == given["digest"] for one in self.tried)
        return given if is_used else None

    def up_to(self, epoch: int) -> TrainingRecord:
        """The record of the epochs up to one, and of what came before them."""
        epochs = {number: records for number, records in self.epochs.items() if number <= epoch}
        attempts = [records[-1].attempt for records in epochs.values()]
        return replace(self, epochs=epochs, stages={}, attempts=_distinct(attempts) or self.attempts)

    def conditions(self) -> list[Conditions]:
        """Under what the attempts ran, each only once."""
        each = [Conditions.of(attempt, self.submitted) for attempt in self.attempts]
        return list({dumps(one.decisive): one for one in each}.values())

    def epoch_records(self, epoch: int) -> list[EpochRecord]:
        """All that was said of an epoch under the conditions of the newest word, the newest first."""
        newest, *older = reversed(self.epochs[epoch])
        its = Conditions.of(newest.attempt, self.submitted).decisive
        return [newest, *(one for one in older if Conditions.of(one.attempt, self.submitted).decisive == its)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What an attempt computed with."""

    profile: Mapping[str, Any]
    #: DeviceCapabilities as plain data.
    capabilities: Mapping[str, Any]
    #: All of it that can change a result.
    decisive: Mapping[str, Any]

    @classmethod
    def of(cls, attempt: Attempt, submitted: JobSubmitted) -> Conditions:
        claimed = attempt.claimed
        return cls(
            profile=claimed.numeric_profile,
            capabilities=claimed.capabilities,
            decisive={"numeric_profile": claimed.numeric_profile, "device": device_of(attempt, submitted)},
        )


def record_of(history: Sequence[Recorded], before: TrainingRecord | None = None) -> TrainingRecord:
    """The record of a job from its events, oldest first; those that were pruned are missing.

    `before` is the record of the job that this one repeats, if it went on from a checkpoint of it: the epochs that this
    job did not train are that one's.
    """
    first, last = history[0], history[-1]
    submitted, attempts = first.event, attempts_of(history)
    assert isinstance(submitted, JobSubmitted), "every history begins with its submission"
    epochs: dict[int, list[EpochRecord]] = {}
    stages: dict[str, StageFinished] = {}
    for attempt in attempts:
        stages |= attempt.stages
        for number, finished in attempt.epochs.items():
            epochs.setdefault(number, []).append(EpochRecord(first.job_id, attempt, finished))
    if before is not None and submitted.starts_from is not None:
        for number, records in before.up_to(submitted.starts_from["epoch"]).epochs.items():
            epochs[number] = [*records, *epochs.get(number, ())]
    newest = [records[-1].attempt for _, records in sorted(epochs.items())]
    if attempts and (attempts[-1].stages or type(last.event).__name__ in TERMINAL_TYPES):
        newest.append(attempts[-1])
    return TrainingRecord(
        job_id=first.job_id,
        submitted=submitted,
        epochs=dict(sorted(epochs.items())),
        stages=stages,
        end=last.event if isinstance(last.event, TerminalEvent) else None,
        attempts=_distinct(newest),
        tried=attempts,
    )


def _distinct(attempts: Iterable[Attempt]) -> list[Attempt]:
    return list({id(attempt): attempt for attempt in attempts}.values())
