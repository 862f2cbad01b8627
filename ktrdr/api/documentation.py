"""How the API is used, as the service tells it: the OpenAPI document, a page to read it, a page for each problem.

Imports starlette and this package's own parts. Nothing here is loaded from elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ktrdr.api.access.headers import CSP
from ktrdr.api.conditions import content_tag, is_unchanged, unchanged
from ktrdr.api.dashboard.rendering import page
from ktrdr.api.openapi import document
from ktrdr.problem_types import TYPES
from ktrdr.problems import not_found

#: Swagger UI sets styles of its own at elements; everything else is as on every page.
_DOCS_CSP = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_MEDIA_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return _give(request, _openapi_file(), {})


async def docs(request: Request) -> Response:
    """The page on which the document can be read and tried out."""
    return _give(request, _docs_files()["index.html"], {CSP: _DOCS_CSP})


async def docs_file(request: Request) -> Response:
    """What that page is made of."""
    file = _docs_files().get(request.path_params["name"])
    if file is None:
        raise not_found(f"nothing is at {request.url.path[:200]}")
    return _give(request, file, {})


async def problem_type(request: Request) -> Response:
    """What a type of problem means, and what helps: the address that a problem's `type` leads to."""
    found = TYPES.get(request.path_params["name"])
    if found is None:
        raise not_found(f"there is no problem of the type {request.path_params['name'][:80]!r}")
    return page(request, "problem_type.html", type=found)


async def problem_types(request: Request) -> Response:
    """Every type of problem."""
    return page(request, "problem_types.html", types=TYPES.values())


ROUTES = (
    Route("/openapi.json", openapi),
    Route("/docs", docs),
    Route("/docs/{name}", docs_file),
    Route("/problems", problem_types),
    Route("/problems/{name}", problem_type),
)


def _give(request: Request, file: _File, headers: dict[str, str]) -> Response:
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", **headers}
    if is_unchanged(request, file.etag):
        return unchanged(file.etag, headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


@cache
def _openapi_file() -> _File:
    content = json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()
    return _File(content, "application/json", content_tag(content))


@cache
def _docs_files() -> dict[str, _File]:
    api = files(__package__ or "")
    folders = (api.joinpath("docs"), api.joinpath("vendor", "swagger-ui"))
    return {file.name: _read(file) for folder in folders for file in folder.iterdir()}


def _read(file: Traversable) -> _File:
    content = file.read_bytes()
    media_type = next((kind for ending, kind in _MEDIA_TYPES.items() if file.name.endswith(ending)), "text/plain")
    return _File(content, media_type, content_tag(content))
