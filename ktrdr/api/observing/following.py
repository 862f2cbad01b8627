"""The spans of jobs: each is recorded when its job has ended, wherever it ran. Imports the store and asyncio.

Only where OpenTelemetry is configured does the API follow the log for this; otherwise it reads it when it is scraped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from ktrdr.api.observing.exposition import Exposition
from ktrdr.api.observing.job_figures import OnEnd
from ktrdr.api.watch import LogWatch
from ktrdr.jobs.events import Instant, JobId
from ktrdr.jobs.state import Status
from ktrdr.spans import Span, Spans, nanoseconds, span_of_job
from ktrdr.store.reader import Reader

logger = logging.getLogger(__name__)

#: The log is looked at no more often than that.
PAUSE_SECONDS = 1.0
_GUARD_SECONDS = 30.0


def record_ends(reader: Reader, spans: Spans) -> OnEnd:
    """Records the span of each job that has ended."""

    def record(job_id: JobId, status: Status, at: Instant) -> None:
        job = reader.job(job_id)
        trace, request = span_of_job(job_id, job.traceparent)
        spans.record(
            Span(
                name="job",
                trace=trace,
                parent=request,
                started=nanoseconds(job.submitted_at or at),
                ended=nanoseconds(at),
                attributes={
                    "ktrdr.job_id": job_id,
                    "ktrdr.strategy": job.name,
                    "ktrdr.target": job.target.value,
                    "ktrdr.outcome": status.value,
                    "ktrdr.attempts": job.attempt,
                },
                error=job.failure_message if status is Status.FAILED else None,
            )
        )

    return record


class Following:
    """Follows the log for as long as the API serves."""

    def __init__(self, watch: LogWatch, exposition: Exposition) -> None:
        self._watch = watch
        self._exposition = exposition
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stops, after a last look."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._exposition.catch_up()

    async def _follow(self) -> None:
        while True:
            change = self._watch.next_change()
            try:
                await self._exposition.catch_up()
            except Exception:
                logger.exception("the ends of jobs could not be read; trying again")
            await asyncio.sleep(PAUSE_SECONDS)
            await self._watch.wait(change, _GUARD_SECONDS)
