"""Style, scripts and vendored libraries of the dashboard, kept in memory. Imports starlette.

Their addresses carry a digest of all of them, so a browser keeps them for good and asks again after an upgrade. Modules
import each other by relative addresses and so stay within one version.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ktrdr.api.conditions import is_unchanged, unchanged
from ktrdr.problems import not_found

_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    media_type: str
    etag: str


@cache
def assets() -> dict[str, Asset]:
    """Path below `static/` → the file."""
    found: dict[str, Asset] = {}
    _collect(files(__package__).joinpath("static"), "", found)
    return found


@cache
def version() -> str:
    """A digest of all the files: what an address carries."""
    names = "".join(f"{path} {asset.etag}\n" for path, asset in sorted(assets().items()))
    return sha256(names.encode()).hexdigest()[:12]


def address(path: str) -> str:
    """Where a file is found: `style.css` → `/static/…/style.css`. Raises KeyError if there is none."""
    assert assets()[path]
    return f"/static/{version()}/{path}"


async def static(request: Request) -> Response:
    """A file. Under the address of another version it is today's, so a page that is open still finds its modules."""
    path = str(request.path_params["path"])
    asset = assets().get(path)
    if asset is None:
        raise not_found(f"nothing is at {request.url.path[:200]}")
    is_current = request.path_params["version"] == version()
    headers = {"ETag": asset.etag, "Cache-Control": _FOR_GOOD if is_current else _ASK_AGAIN}
    if is_unchanged(request, asset.etag):
        return unchanged(asset.etag, headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


async def favicon(_request: Request) -> Response:
    """Where browsers look for an icon of what is no page, such as an answer of the API."""
    return RedirectResponse(address("icon.svg"), 302, {"Cache-Control": "max-age=3600"})


def _collect(folder: Traversable, prefix: str, found: dict[str, Asset]) -> None:
    for entry in folder.iterdir():
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            _collect(entry, f"{path}/", found)
        else:
            content = entry.read_bytes()
            media_type = mimetypes.guess_type(path)[0] or "text/plain"
            if path.endswith(".js"):  # some systems know it by an older name
                media_type = "text/javascript"
            found[path] = Asset(content, media_type, f'"{sha256(content).hexdigest()[:32]}"')
