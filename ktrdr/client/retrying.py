"""When a request is sent again, and after which pause. Imports httpx2.

A decision over values: whoever sends the requests does the waiting.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from ktrdr.client.calls import Call

#: Pauses before a request is sent again; each somewhat shorter or longer, so that clients do not march in step.
_PAUSES = (0.1, 0.3, 0.6)
_SPREAD = 0.25
#: A service that asks for more patience than this gets its refusal passed on instead.
LONGEST_PAUSE_SECONDS = 30.0
_UNAVAILABLE, _TOO_MANY = 503, 429


def pause_before_repetition(
    call: Call[Any], repetitions: int, outcome: httpx2.Response | httpx2.TransportError
) -> float | None:
    """How many seconds after this outcome the call is sent again; None if it is not."""
    if repetitions >= len(_PAUSES) or not _may_be_repeated(call, outcome):
        return None
    pause = _PAUSES[repetitions] * random.uniform(1 - _SPREAD, 1 + _SPREAD)
    if isinstance(outcome, httpx2.Response):
        pause = max(pause, seconds_to_wait(outcome))
    return pause if pause <= LONGEST_PAUSE_SECONDS else None


def seconds_to_wait(answer: httpx2.Response) -> float:
    """What `Retry-After` asks for, as a number of seconds or as a date; 0 if nothing that can be read."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def says_later(answer: httpx2.Response) -> bool:
    """Whether the service refuses now what it may accept in a while."""
    return answer.status_code in (_UNAVAILABLE, _TOO_MANY)


def _may_be_repeated(call: Call[Any], outcome: httpx2.Response | httpx2.TransportError) -> bool:
    if call.reads_refusals or isinstance(outcome, httpx2.UnsupportedProtocol):  # the address is none
        return False
    if isinstance(outcome, httpx2.Response):
        # Whom it has no time for, it has not listened to; what it could not do, it may have begun.
        return outcome.status_code == _TOO_MANY or (call.repeatable and outcome.status_code == _UNAVAILABLE)
    was_not_received = isinstance(outcome, httpx2.ConnectError | httpx2.ConnectTimeout)
    return call.repeatable or was_not_received
