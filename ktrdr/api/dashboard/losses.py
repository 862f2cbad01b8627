"""The course of the validation loss of many jobs, remembered: what was recorded does not change. Imports the store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import pairwise

from ktrdr.jobs.events import JobId
from ktrdr.jobs.state import JobState
from ktrdr.store.course import validation_losses
from ktrdr.store.reader import Reader

#: Points of a curve as small as a word.
POINTS = 40


class LossCourses:
    """Asks the log only for what is new since it was asked before. For one thread at a time."""

    def __init__(self, largest: int = 2000) -> None:
        self._largest = largest
        #: Job → the version up to which it was read, and its losses by epoch.
        self._known: OrderedDict[JobId, tuple[int, dict[int, float]]] = OrderedDict()

    def of(self, reader: Reader, jobs: Iterable[JobState]) -> dict[JobId, list[float]]:
        """Job → its validation losses by epoch, in at most POINTS points; nothing for jobs that have none."""
        found = {job.job_id: _thinned(self._of_one(reader, job)) for job in jobs if job.started_at}
        return {job_id: losses for job_id, losses in found.items() if losses}

    def _of_one(self, reader: Reader, job: JobState) -> list[float]:
        seen, losses = self._known.get(job.job_id, (0, {}))
        if seen < job.version:
            new = validation_losses(reader, job.job_id, after=seen)
            # Another attempt trains some epochs again.
            losses = losses | {epoch: loss for _, epoch, loss in new}
            self._known[job.job_id] = (max([job.version, *(version for version, _, _ in new)]), losses)
        self._known.move_to_end(job.job_id)
        while len(self._known) > self._largest:
            self._known.popitem(last=False)
        return [losses[epoch] for epoch in sorted(losses)]


def _thinned(values: list[float]) -> list[float]:
    """The means of POINTS stretches, where there are more values."""
    if len(values) <= POINTS:
        return values
    cuts = [number * len(values) // POINTS for number in range(POINTS + 1)]
    return [sum(values[low:high]) / (high - low) for low, high in pairwise(cuts)]
