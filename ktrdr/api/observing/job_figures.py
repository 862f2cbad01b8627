"""Figures of jobs, folded from the events of the log as they come. Imports jobs and the store.

The jobs as they are when the process starts come from the projections; from there on only what has been appended since
the last look is read, so a scrape costs what happened since the one before. What is counted over all time (submissions,
ends) is therefore right across restarts, everything else counts from the start of the process, as Prometheus expects.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ktrdr.api.observing.durations import LONG, Durations
from ktrdr.clock import from_instant
from ktrdr.jobs.events import Instant, JobId
from ktrdr.jobs.state import Status
from ktrdr.store.figures import Happened, Moment, happened_after, stage_data, submitted_at
from ktrdr.store.reader import Reader

logger = logging.getLogger(__name__)

PAGE = 500
_ENDS = {"JobCompleted": Status.COMPLETED, "JobFailed": Status.FAILED, "JobCancelled": Status.CANCELLED}


@dataclass(slots=True)
class _Held:
    """A job that a worker holds or a cancellation waits for, as far as later events need it."""

    status: str
    worker_kind: str
    claimed_at: Instant | None
    requested_at: Instant | None = None
    batches: int = 0
    #: In the train part; None until its stage has told, or was looked up.
    samples: int | None = None


#: Called with each job that has ended: its id, its status, and when.
OnEnd = Callable[[JobId, Status, Instant], None]


class JobFigures:
    """What happened to jobs, counted. Belongs to one thread at a time."""

    def __init__(self, reader: Reader, moment: Moment, on_end: OnEnd | None = None) -> None:
        self._reader = reader
        self._on_end = on_end
        self.position = moment.position
        self.statuses: Counter[str] = Counter(moment.statuses)
        #: All jobs there ever were; none is ever removed.
        self.submitted = sum(moment.statuses.values())
        self._held = {
            one.job_id: _Held(one.status, one.worker_kind, one.claimed_at, one.requested_at, one.batches)
            for one in moment.held
        }
        #: By the type of the event.
        self.events: Counter[str] = Counter()
        #: By the kind of the worker.
        self.claims: Counter[str] = Counter()
        self.epochs: Counter[str] = Counter()
        self.batches: Counter[str] = Counter()
        self.samples: Counter[str] = Counter()
        #: By why.
        self.requeues: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.cancellations: Counter[str] = Counter()
        self.until_claim = Durations(LONG)
        self.until_cancelled = Durations(LONG)
        #: By how it ended.
        self.attempts: defaultdict[str, Durations] = defaultdict(lambda: Durations(LONG))
        self.stages: defaultdict[str, Durations] = defaultdict(lambda: Durations(LONG))
        #: By the kind of the worker.
        self.epoch_seconds: defaultdict[str, Durations] = defaultdict(lambda: Durations(LONG))

    def catch_up(self) -> None:
        """Counts everything that was recorded since the last call."""
        while page := happened_after(self._reader, self.position, PAGE):
            for one in page:
                self._count(one)
                self.position = one.position

    def _count(self, one: Happened) -> None:
        self.events[one.type] += 1
        if one.type == "JobSubmitted":
            self.submitted += 1
            self.statuses[Status.QUEUED] += 1
        elif one.type == "JobClaimed":
            self._count_claim(one)
        elif one.type == "CancellationRequested":
            held = self._held.setdefault(one.job_id, _Held(Status.QUEUED, "none", None))
            held.requested_at = one.at
            self._move(held, Status.CANCELLING)
        elif one.type == "JobRequeued":
            self._count_requeue(one)
        elif one.type in _ENDS:
            self._count_end(one, _ENDS[one.type])
        elif one.data and one.job_id in self._held:
            self._count_progress(one, self._held[one.job_id], json.loads(one.data))

    def _count_claim(self, one: Happened) -> None:
        data = json.loads(one.data)
        held = _Held(Status.QUEUED, data["worker_kind"], one.at)
        self._move(held, Status.RUNNING)
        self._held[one.job_id] = held
        self.claims[held.worker_kind] += 1
        if one.version == 2:  # the first claim: nothing else can happen before it
            self.until_claim.observe(_seconds(submitted_at(self._reader, one.job_id), one.at))

    def _count_requeue(self, one: Happened) -> None:
        reason = json.loads(one.data)["reason"]
        self.requeues[reason] += 1
        held = self._held.pop(one.job_id, None)
        if held is not None:
            self._move(held, Status.QUEUED)
            self._count_attempt(held, reason, one.at)

    def _count_end(self, one: Happened, status: Status) -> None:
        held = self._held.pop(one.job_id, None) or _Held(Status.QUEUED, "none", None)
        self._move(held, status)
        self._count_attempt(held, status, one.at)
        if status is Status.FAILED:
            self.failures[json.loads(one.data)["kind"]] += 1
        elif status is Status.CANCELLED:
            self.cancellations[json.loads(one.data)["outcome"]] += 1
            if held.requested_at is not None:
                self.until_cancelled.observe(_seconds(held.requested_at, one.at))
        if self._on_end is not None:
            self._on_end(one.job_id, status, one.at)

    def _count_attempt(self, held: _Held, outcome: str, at: Instant) -> None:
        if held.claimed_at:
            self.attempts[outcome].observe(_seconds(held.claimed_at, at))

    def _count_progress(self, one: Happened, held: _Held, data: dict[str, Any]) -> None:
        if one.type == "BatchProgressed":
            held.batches = data["batches"]
        elif one.type == "StageFinished":
            self.stages[data["name"]].observe(data["seconds"])
            held.samples = _train_samples(data) if held.samples is None else held.samples
        elif one.type == "EpochFinished":
            self.epochs[held.worker_kind] += 1
            self.epoch_seconds[held.worker_kind].observe(data["seconds"])
            self.batches[held.worker_kind] += held.batches
            if held.samples is None:  # its stage had finished before this process started
                told = (_train_samples(json.loads(text)) for text in stage_data(self._reader, one.job_id) if text)
                held.samples = next((samples for samples in told if samples is not None), 0)
            self.samples[held.worker_kind] += held.samples

    def _move(self, held: _Held, status: Status) -> None:
        self.statuses[held.status] -= 1
        self.statuses[status] += 1
        held.status = status


def _train_samples(stage: dict[str, Any]) -> int | None:
    """How many samples an epoch goes through, if it is the stage that tells."""
    if stage["name"] != "split_data":
        return None
    train = stage["facts"].get("train")
    return int(train["samples"]) if isinstance(train, dict) and "samples" in train else None


def _seconds(since: Instant, until: Instant) -> float:
    return (from_instant(until) - from_instant(since)).total_seconds()
