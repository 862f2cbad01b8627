"""What a client would rather have (RFC 7240): `Prefer: wait=N`, for those who would ask again and again otherwise.

Imports starlette, jobs and this package's own parts.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from starlette.requests import Request

from ktrdr.api.context import Context
from ktrdr.jobs.events import JobId
from ktrdr.jobs.state import JobState

LONGEST_WAIT_SECONDS = 60
#: Of the preferences in a header, each with its parameters, the one that is understood here.
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=[,;]|$)', re.IGNORECASE)


def wait_seconds(request: Request) -> int:
    """How long the answer may be waited for, in seconds; 0 without a preference that makes sense (they are ignored)."""
    if "prefer" not in request.headers:
        return 0
    found = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return min(int(found[1]), LONGEST_WAIT_SECONDS) if found else 0


def applied(seconds: int) -> dict[str, str]:
    """The header that says which preference was honoured."""
    return {"Preference-Applied": f"wait={seconds}"} if seconds else {}


async def wait_for_job(
    request: Request, context: Context, job_id: JobId, seconds: float, is_enough: Callable[[JobState], bool]
) -> JobState:
    """The job once it is as wanted, or as it is when the time is over, the client has gone or the service stops."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        change = context.watch.next_change()
        state = context.reader.job(job_id)
        left = deadline - asyncio.get_running_loop().time()
        if is_enough(state) or context.watch.is_stopping or left <= 0 or await request.is_disconnected():
            return state
        if not await context.watch.wait(change, left):
            return context.reader.job(job_id)
