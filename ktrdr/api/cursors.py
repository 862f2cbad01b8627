"""Where the next page of a list begins: opaque cursors, and the Link header that carries them. Imports starlette."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request

from ktrdr.training.faults import Fault


def write_cursor(before: int, *pinned: int) -> str:
    """A cursor for what comes before a position.

    `pinned` are positions that the first page was made for, so that the pages after it are of the same moments.
    """
    text = ":".join(("before", *map(str, (before, *pinned))))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, faults: list[Fault], *, pinned: int = 0) -> tuple[int, ...] | None:
    """What was given to `write_cursor`, with so many pinned positions. What is no such cursor is added to `faults`."""
    if cursor is None:
        return None
    try:
        kind, *numbers = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(":")
        positions = tuple(map(int, numbers))
        if kind != "before" or len(positions) != 1 + pinned or not all(0 <= one < 2**63 for one in positions):
            raise ValueError(cursor)
    except (ValueError, binascii.Error):
        problem = f"{cursor!r} is no cursor of this list"
        faults.append(Fault(("cursor",), problem, "use next_cursor of the page before, unchanged"))
        return None
    return positions


def link_to_next(request: Request, **changes: object) -> dict[str, str]:
    """The header that leads to the next page: the same request but for some parameters; none if one of them is None."""
    if None in changes.values():
        return {}
    url = request.url.include_query_params(**changes)
    return {"Link": f'<{url.path}?{url.query}>; rel="next"'}
