"""Conditional requests (RFC 9110, section 13): ETags, and what may be asked for or changed only if they (do not) match.

Imports starlette and the problems.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.problems import invalid, precondition_failed
from ktrdr.training.faults import Fault

_TAG = re.compile(r'\s*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')


def tags_of(request: Request, header: str) -> tuple[str, ...] | None:
    """The tags that a header lists, `("*",)` for any; None without the header. Raises a problem for what is no list."""
    values = request.headers.getlist(header)
    if not values:
        return None
    text = ",".join(values).strip()
    if text == "*":
        return ("*",)
    found, at = [], 0
    while at < len(text):
        tag = _TAG.match(text, at)
        if tag is None:
            fix = 'send the ETag of an earlier answer as it was, with its quotes: "v5"; or *'
            raise invalid([Fault((header,), f"{text[:80]!r} is no list of ETags", fix)])
        found.append(tag[1])
        at = tag.end()
    return tuple(found)


def is_unchanged(request: Request, etag: str) -> bool:
    """Whether the client has what the tag stands for already, by its If-None-Match (weak comparison)."""
    if "if-none-match" not in request.headers:
        return False
    text = ",".join(request.headers.getlist("if-none-match"))
    # What is no tag matches nothing: then the whole answer is the right one.
    return text.strip() == "*" or _opaque(etag) in map(_opaque, _TAG.findall(text))


def unchanged(etag: str, headers: Mapping[str, str] = {}) -> Response:
    """The answer to that."""
    return Response(status_code=304, headers={**headers, "ETag": etag})


def require_match(request: Request, etag: str | None, what: str) -> None:
    """Raises a problem if the request shall be carried out for another state than the present one only.

    `etag` is that of the present state, which must be strong; None if there is nothing yet. Belongs into the
    transaction that makes the change.
    """
    wanted = tags_of(request, "If-Match")
    if wanted is not None and not (etag is not None and (wanted == ("*",) or etag in wanted)):
        now = f"the ETag of {what} is {etag}" if etag else f"there is no {what}"
        raise precondition_failed(f"{now}, and If-Match names {', '.join(wanted)[:200]}")
    unwanted = tags_of(request, "If-None-Match")
    if unwanted is not None and etag is not None and (unwanted == ("*",) or _opaque(etag) in map(_opaque, unwanted)):
        raise precondition_failed(f"there is {what} already, with the ETag {etag}")


def content_tag(content: bytes | str) -> str:
    """A strong tag of content that has nothing better to be known by."""
    data = content.encode() if isinstance(content, str) else content
    return f'"{blake2b(data, digest_size=12).hexdigest()}"'


def json_answer(request: Request, content: Any, headers: Mapping[str, str] = {}) -> Response:
    """A JSON answer to a GET with a tag of its content; 304 for a client that has it already."""
    answer = JSONResponse(content, headers=headers)
    etag = f"W/{content_tag(bytes(answer.body))}"
    if is_unchanged(request, etag):
        return unchanged(etag, headers)
    answer.headers["ETag"] = etag
    return answer


def _opaque(tag: str) -> str:
    return tag.removeprefix("W/")
