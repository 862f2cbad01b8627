"""Whether the service lives, and whether it can do its work. Imports the store."""

from __future__ import annotations

import shutil

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr import __version__
from ktrdr.api.access.callers import may
from ktrdr.api.context import context_of
from ktrdr.jobs.service.tokens import Scope
from ktrdr.store.log import Transaction

#: Below this much free space the service says that it is not ready, before anything fails for want of it.
LEAST_FREE_BYTES = 50_000_000


async def healthz(_request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok", "version": __version__})


async def readyz(request: Request) -> Response:
    """200 if jobs can be accepted, else 503; each check says what it found, to whoever may read."""
    context = context_of(request)
    free = shutil.disk_usage(context.store.home).free
    checks = {
        "disk": "ok" if free >= LEAST_FREE_BYTES else f"only {free:,} bytes are free in {context.store.home}",
        "service": "stopping" if context.watch.is_stopping else "ok",
    }
    try:
        # Takes the write lock and commits nothing: the whole way of a submission but for its event.
        await context.log.write(_touch)
        checks["database"] = "ok"
    except Exception as error:
        checks["database"] = str(error)
    is_ready = set(checks.values()) == {"ok"}
    status = "ok" if is_ready else "unavailable"
    if not may(request, Scope.READ):  # whoever looks from outside learns no more than that
        return JSONResponse({"status": status}, 200 if is_ready else 503)
    body = {
        "status": status,
        "checks": checks,
        "position": context.reader.last_position(),
        "jobs": context.reader.status_counts(),
    }
    return JSONResponse(body, 200 if is_ready else 503)


def _touch(transaction: Transaction) -> str:
    return transaction.now
