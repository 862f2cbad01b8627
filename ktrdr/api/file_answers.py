"""A file as an answer, whole or the range that is asked for (RFC 9110, section 14). Imports starlette and problems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from ktrdr.api.conditions import is_unchanged, unchanged
from ktrdr.problems import range_not_satisfiable

_ONE_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?|bytes=-([1-9]\d{0,17})", re.ASCII)


def file_answer(
    request: Request, path: Path, *, etag: str, media_type: str, headers: Mapping[str, str] = {}
) -> Response:
    """The file under its tag; 304 for a client that has it. Raises a problem for a range beyond its end.

    A header `Range` that is none, or names several ranges, gives the whole file, as it may.
    """
    headers = {**headers, "ETag": etag}
    if is_unchanged(request, etag):
        return unchanged(etag, headers)
    found = path.stat()
    wanted = _ONE_RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None or (wanted[2] and int(wanted[2]) < int(wanted[1])):
        request.scope["headers"] = [one for one in request.scope["headers"] if one[0] != b"range"]
    elif (wanted[1] and int(wanted[1]) >= found.st_size) or found.st_size == 0:
        raise range_not_satisfiable(found.st_size)
    return FileResponse(path, media_type=media_type, headers=headers, stat_result=found)
