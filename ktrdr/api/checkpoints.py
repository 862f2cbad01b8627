"""The checkpoints of a job over HTTP. Imports the store."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ktrdr.api.conditions import json_answer
from ktrdr.api.context import Context, context_of, job_id_of
from ktrdr.api.views import CheckpointPage, CheckpointView
from ktrdr.jobs.events import JobId


async def list_checkpoints(request: Request) -> Response:
    """The checkpoints that a job has saved and that are still here, by epoch: what it can be forked from."""
    context, job_id = context_of(request), job_id_of(request)
    context.reader.job(job_id)
    return json_answer(request, CheckpointPage(checkpoints=list(checkpoints_of(context, job_id).values())))


def checkpoints_of(context: Context, job_id: JobId) -> dict[int, CheckpointView]:
    """Epoch → the checkpoint of it that is on the disk, by epoch; of several the newest."""
    return {
        saved.epoch: CheckpointView(epoch=saved.epoch, digest=saved.digest, bytes=saved.bytes)
        for saved in sorted(context.reader.saved_checkpoints(job_id), key=lambda saved: saved.epoch)
        if context.store.checkpoints.path(saved.digest).exists()
    }
