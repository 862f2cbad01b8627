"""The report of a finished training over HTTP, as JSON or as a page. Imports the store and this package's own parts."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ktrdr import __version__
from ktrdr.api import heavy
from ktrdr.api.access.headers import CSP, LONE_PAGE_CSP
from ktrdr.api.conditions import is_unchanged, unchanged
from ktrdr.api.context import context_of, job_id_of
from ktrdr.api.models import model_of
from ktrdr.problems import not_found


async def report(request: Request) -> Response:
    """What a model is worth: as JSON, or as one HTML file where `Accept` prefers text/html."""
    context, job_id = context_of(request), job_id_of(request)
    digest, folder = model_of(context, job_id)
    path = folder / "report.json"
    if not path.exists():
        raise not_found(f"the model {digest} has no report")
    headers = {"Vary": "Accept"}
    if not _prefers_html(request.headers.get("accept", "")):
        etag = f'"{digest}"'
        if is_unchanged(request, etag):
            return unchanged(etag, headers)
        content = await asyncio.to_thread(path.read_bytes)
        return Response(content, media_type="application/json", headers={**headers, "ETag": etag})
    etag = f'W/"{digest}-{__version__}"'  # another version may draw it otherwise
    if is_unchanged(request, etag):
        return unchanged(etag, headers)
    page = await context.compute.run(heavy.render_report, folder, job_id, digest)
    return HTMLResponse(page, headers={**headers, "ETag": etag, CSP: LONE_PAGE_CSP})


def _prefers_html(accept: str) -> bool:
    """Whether HTML is named, and JSON not before it: browsers name what they prefer first."""
    html, json = accept.find("text/html"), accept.find("application/json")
    return html >= 0 and not 0 <= json < html
