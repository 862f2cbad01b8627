"""Asking a service that is not ours: its answer is read up to a bound, in bytes and in time. Imports httpx2."""

from __future__ import annotations

import time
from typing import Any

import httpx2

#: Beyond any signed note, with all the signatures that it can have.
LARGEST_ANSWER = 1_000_000
#: For each step on the way to it, and for the whole of it.
TIMEOUT_SECONDS = 5.0


def ask(
    http: httpx2.Client, method: str, path: str, *, headers: dict[str, str] | None = None, **request: Any
) -> httpx2.Response:
    """The whole answer. Raises httpx2.HTTPError, also for one that is too large or takes too long to come."""
    # As it is sent: a few bytes may unpack to any number.
    plain = {**(headers or {}), "Accept-Encoding": "identity"}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with http.stream(method, path, headers=plain, **request) as answer:
        content = bytearray()
        for piece in answer.iter_raw():
            content += piece
            if len(content) > LARGEST_ANSWER:
                raise httpx2.RemoteProtocolError(f"its answer has more than {LARGEST_ANSWER:,} bytes")
            if time.monotonic() > deadline:
                raise httpx2.ReadTimeout(f"its answer was not whole after {TIMEOUT_SECONDS:g} s")
    return httpx2.Response(answer.status_code, content=bytes(content), request=answer.request)
