"""W3C Trace Context: which trace a piece of work belongs to. Imports the standard library only.

A trace is told by the header `traceparent`: `00-TRACE_ID-SPAN_ID-FLAGS`. Whoever does a part of the work under a name
of its own sends the same trace id on, with its own span id. (`tracestate` is for tracing systems among themselves;
there is none here, so it ends with the request.)
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass

#: Name of the header, and of the field of JobSubmitted.
TRACEPARENT = "traceparent"
_SAMPLED = 0x01
_SHAPE = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Trace:
    """One span of a trace."""

    #: 32 hexadecimal digits, the same for everything that belongs together.
    trace_id: str
    #: 16 hexadecimal digits: who does this part.
    span_id: str
    is_sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The value of the header that continues this span elsewhere."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"

    def child(self) -> Trace:
        """Another span of the same trace."""
        return Trace(self.trace_id, secrets.token_hex(8), self.is_sampled)


#: The span that this thread or coroutine works for, for whoever writes logs; None outside of any.
current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)


def make_trace() -> Trace:
    """The first span of a new trace."""
    return Trace(secrets.token_hex(16), secrets.token_hex(8))


def parse_traceparent(text: str | None) -> Trace | None:
    """The span that a header names; None for what names none, so that a new trace begins.

    Of versions after 00 the first four fields are read, as the recommendation says.
    """
    found = _SHAPE.fullmatch(text) if text else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None) or not (trace_id.strip("0") and span_id.strip("0")):
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def continue_trace(traceparent: str | None) -> Trace:
    """A span of its own within the trace that a header names, or within a new one if it names none."""
    caller = parse_traceparent(traceparent)
    return make_trace() if caller is None else caller.child()
