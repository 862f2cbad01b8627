"""The report of a finished training over HTTP, as JSON or as a page. Imports the store and this package's own parts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from ktrdr.api import heavy
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
        return FileResponse(path, media_type="application/json", headers=headers)
    page = await context.compute.run(heavy.render_report, folder, job_id, digest)
    return HTMLResponse(page, headers=headers)


def _prefers_html(accept: str) -> bool:
    """Whether HTML is named, and JSON not before it: browsers name what they prefer first."""
    html, json = accept.find("text/html"), accept.find("application/json")
    return html >= 0 and not 0 <= json < html
