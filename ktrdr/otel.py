"""The OpenTelemetry SDK behind `ktrdr.spans`. Imports the SDK, so it is imported only where that is configured."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from ktrdr import __version__
from ktrdr.spans import Span
from ktrdr.tracing import Trace

CLOSE_SECONDS = 2.0


class _GivenIds(RandomIdGenerator):
    """Ids that were told to others before the SDK hears of the span."""

    def __init__(self) -> None:
        self._given = threading.local()

    def give(self, trace: Trace) -> None:
        """The ids of the next span that this thread starts."""
        self._given.trace = trace

    def generate_span_id(self) -> int:
        return int(self._given.trace.span_id, 16)

    def generate_trace_id(self) -> int:
        return int(self._given.trace.trace_id, 16)


class OtelSpans:
    """Spans that the SDK exports in batches, from a thread of its own."""

    def __init__(self, part: str, exporter: str, environment: Mapping[str, str]) -> None:
        attributes = {
            "service.namespace": "ktrdr",
            "service.version": __version__,
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        }
        if not environment.get("OTEL_SERVICE_NAME", "").strip():
            attributes[SERVICE_NAME] = f"ktrdr-{part}"
        self._ids = _GivenIds()
        provider = TracerProvider(resource=Resource.create(attributes), id_generator=self._ids, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(_exporter(exporter)))
        self._provider, self._sampler = provider, provider.sampler
        self._tracer = provider.get_tracer("ktrdr", __version__)

    def begin(self, trace: Trace) -> Trace:
        decision = self._sampler.should_sample(None, int(trace.trace_id, 16), "").decision
        return Trace(trace.trace_id, trace.span_id, decision is Decision.RECORD_AND_SAMPLE)

    def record(self, span: Span) -> None:
        if not span.trace.is_sampled:
            return
        self._ids.give(span.trace)
        started = self._tracer.start_span(
            span.name,
            None if span.parent is None else _within(span.trace, span.parent),
            SpanKind.SERVER if span.is_server else SpanKind.INTERNAL,
            span.attributes,
            start_time=span.started,
        )
        for event in span.events:
            started.add_event(event.name, event.attributes, event.at)
        if span.error is not None:
            started.set_status(Status(StatusCode.ERROR, span.error))
        started.end(span.ended)

    def close(self) -> None:
        # The SDK waits for half a minute, and longer for a collector that does not answer.
        closing = threading.Thread(target=self._provider.shutdown, name="sends the last spans", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _within(trace: Trace, parent: str) -> Context:
    """The SDK's word for a span elsewhere that the next one is a part of."""
    flags = TraceFlags(TraceFlags.SAMPLED if trace.is_sampled else TraceFlags.DEFAULT)
    context = SpanContext(int(trace.trace_id, 16), int(parent, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(context))
