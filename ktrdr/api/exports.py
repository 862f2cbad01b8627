"""The log for other programs: a stream of CloudEvents, and one job as a bundle. Imports the audit and the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from hashlib import sha256

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ktrdr.api.audit_proofs import with_log
from ktrdr.api.context import context_of, job_id_of
from ktrdr.api.requests import Body, read_query
from ktrdr.audit.archive import ArchiveError
from ktrdr.audit.bundle import make_bundle
from ktrdr.audit.export import Stretch, cloud_event_lines, pages
from ktrdr.jobs.events import JobId
from ktrdr.jobs.identity import is_job_id
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.problems import unavailable
from ktrdr.store.reader import StoredEvent
from ktrdr.store.tree import read_head
from ktrdr.training.model_directory import SavedModelError

#: JSON lines, each a CloudEvent in structured form.
CLOUD_EVENTS = "application/x-ndjson"


class ExportQuery(Body):
    """Which events."""

    after: int = Field(0, ge=0, lt=2**63, description="A position; events after it are given.")
    until: int | None = Field(
        None, ge=0, lt=2**63, description="A position; events up to it are given. Without it, up to the newest one."
    )
    job: str | None = Field(None, max_length=80, description="The id of a job; only its events are given.")


async def export(request: Request) -> Response:
    """Events as CloudEvents 1.0 in structured JSON, one a line, oldest first."""
    context, query = context_of(request), read_query(request, ExportQuery)
    if query.job is not None:
        if not is_job_id(query.job):
            raise UnknownJobError(query.job)
        context.reader.job(JobId(query.job))  # 404 for a job that is not there, rather than nothing
    stretch = Stretch(after=query.after, until=query.until, job_id=JobId(query.job) if query.job else None)
    with context.store.engine.connect() as connection:
        origin = read_head(connection).origin
    return StreamingResponse(_stream(pages(context.reader, stretch), origin), media_type=CLOUD_EVENTS)


async def bundle(request: Request) -> Response:
    """One job as a zip file with its events, their proof, its model, and what verifies all of it offline."""
    context, job_id = context_of(request), job_id_of(request)
    context.reader.job(job_id)
    store = context.store
    try:
        content = await asyncio.to_thread(with_log, store, lambda log: make_bundle(store, log, job_id))
    except (ArchiveError, SavedModelError) as error:
        raise unavailable(str(error)) from None
    headers = {
        "Content-Disposition": f'attachment; filename="bundle-{job_id}.zip"',
        "ETag": f'"{sha256(content).hexdigest()}"',
    }
    return Response(content, media_type="application/zip", headers=headers)


async def _stream(found: Iterator[Sequence[StoredEvent]], origin: str) -> AsyncIterator[bytes]:
    for page in found:
        yield cloud_event_lines(page, origin)
        await asyncio.sleep(0)  # whoever reads fast must not keep the others waiting
