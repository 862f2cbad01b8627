"""The page of the workers: who is there, on which device, busy with what; and the queue, with why each job waits.

Imports the store and this package's own parts.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from ktrdr.api.context import context_of
from ktrdr.api.dashboard.rendering import as_page, page
from ktrdr.api.workers import WorkerView, worker_views
from ktrdr.clock import system_clock, to_instant
from ktrdr.jobs.state import Status
from ktrdr.store.reader import Reader
from ktrdr.store.schema import jobs

#: What a state means, for people who see it for the first time.
STATES = {
    "starting": "Its job processes are loading; it takes jobs in some seconds.",
    "alive": "Takes jobs.",
    "draining": "Was told to stop: it takes nothing new, and ends what it runs or gives it back.",
    "stopped": "Said goodbye. It stays in this list for a day.",
    "lost": "Fell silent without a goodbye. Its jobs went back to the queue once their leases had run out.",
}
#: Which badge a state has.
BADGES = {"starting": "queued", "alive": "ok", "draining": "warning", "stopped": "stopped", "lost": "bad"}
_MOST_WAITING = 100


@as_page
async def show_workers(request: Request) -> Response:
    """Workers and queue."""
    context = context_of(request)
    reader = context.reader
    position = reader.last_position()
    found = worker_views(reader)
    return page(
        request,
        "workers.html",
        position=position,
        now=to_instant(system_clock()),
        lease_seconds=context.settings.lease_seconds,
        present=[one for one in found if one["state"] not in ("stopped", "lost")],
        gone=[one for one in found if one["state"] in ("stopped", "lost")],
        states=STATES,
        badges=BADGES,
        waiting=_waiting(reader),
        waiting_count=reader.status_counts().get(Status.QUEUED, 0),
        free=_free(found),
        service_url=str(request.base_url).rstrip("/"),
    )


def _waiting(reader: Reader) -> list[dict[str, Any]]:
    """The beginning of the queue, whoever is next first, each job with why it waits."""
    first = (
        select(jobs.c.submitted_position, jobs.c.job_id)
        .where(jobs.c.status == Status.QUEUED)
        .order_by(jobs.c.priority.desc(), jobs.c.submitted_position)
        .limit(_MOST_WAITING)
    )
    states = [reader.job(row.job_id) for row in reader.rows(first)]
    return [{"job": state, "why": reader.why_waiting(state)} for state in states]


def _free(found: list[WorkerView]) -> int:
    """Slots that could take a job now."""
    return sum(max(0, one["slots"] - len(one["jobs"])) for one in found if one["state"] == "alive")
