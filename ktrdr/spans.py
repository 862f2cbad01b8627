"""Spans for OpenTelemetry, where an operator has configured it; nothing at all otherwise.

Imports the trace context; `ktrdr.otel`, and with it the SDK, only where it is configured. A span is recorded whole,
once it is over, under the id that was told to others while it lasted: that of the request in
`JobSubmitted.traceparent`, that of an attempt in the headers of its worker's requests. A job has no process of its own,
so the id of its span is made from its name, and whoever needs it knows it.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Protocol

from ktrdr.clock import from_instant
from ktrdr.jobs.events import Instant
from ktrdr.tracing import Trace, parse_traceparent

logger = logging.getLogger(__name__)

Value = str | bool | int | float
#: Any of these says that traces are wanted.
SWITCHES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
_EPOCH = from_instant(Instant("1970-01-01T00:00:00.000000Z"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEvent:
    name: str
    #: Nanoseconds since 1970.
    at: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of work that is over."""

    name: str
    #: Its own place in the trace.
    trace: Trace
    #: Id of the span that it is a part of, in the same trace; None for the first one.
    parent: str | None
    #: Nanoseconds since 1970.
    started: int
    ended: int
    attributes: Mapping[str, Value]
    events: Sequence[SpanEvent] = ()
    #: Of a span that answers someone else's request.
    is_server: bool = False
    #: What went wrong; None if nothing did.
    error: str | None = None


class Spans(Protocol):
    """Where spans go."""

    def begin(self, trace: Trace) -> Trace:
        """The same place in the trace, sampled or not as the operator has set it: for the first span of a trace."""
        ...

    def record(self, span: Span) -> None:
        """Puts a span on its way; never waits and never raises."""
        ...

    def close(self) -> None:
        """Sends what is left, but waits for no more than some two seconds."""
        ...


def open_spans(part: str, environment: Mapping[str, str] = os.environ) -> Spans | None:
    """Where this process's spans go; None if OpenTelemetry is not configured, or not installed, which is then logged.

    The standard variables count: OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER (otlp or console) turn it on,
    OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and the rest are the SDK's.
    """
    if not any(environment.get(switch, "").strip() for switch in SWITCHES):
        return None
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if exporter not in ("otlp", "console"):
        logger.warning("OTEL_TRACES_EXPORTER is %r, so no traces are exported; otlp and console are possible", exporter)
        return None
    if importlib.util.find_spec("opentelemetry") is None or importlib.util.find_spec("opentelemetry.sdk") is None:
        logger.warning("no traces are exported, because OpenTelemetry is not installed; pip install 'ktrdr[otel]'")
        return None
    from ktrdr.otel import OtelSpans

    return OtelSpans(part, exporter, environment)


def span_of_job(job_id: str, traceparent: str | None) -> tuple[Trace, str | None]:
    """The place of a job's span in its trace, and the span of the request that submitted it.

    A job that was submitted under no trace has one of its own.
    """
    name = sha256(f"job:{job_id}".encode()).hexdigest()
    request = parse_traceparent(traceparent)
    if request is None:
        return Trace(trace_id=name[16:48], span_id=name[:16]), None
    return replace(request, span_id=name[:16]), request.span_id


def nanoseconds(instant: Instant) -> int:
    """A recorded moment as nanoseconds since 1970."""
    return (from_instant(instant) - _EPOCH) // timedelta(microseconds=1) * 1000
