"""Tells spans to a collector by OTLP over HTTP (protobuf), in batches and beside the work: OpenTelemetry's own SDK does that.

Imported only where `EVERLEAF_TRACE_ENDPOINT` is set.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.trace import Attributes, Kind, Span, record_with

_KINDS = {
    Kind.INTERNAL: SpanKind.INTERNAL,
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.PRODUCER: SpanKind.PRODUCER,
    Kind.CONSUMER: SpanKind.CONSUMER,
}
_PATIENCE = 5
"""Seconds that a collector has for one batch, and that the end of the process waits for the last."""


@contextmanager
def exporting(
    endpoint: str,
    *,
    process: str,
    ratio: float = 1.0,
    headers: Mapping[str, str] | None = None,
    ca: Path | None = None,
) -> Iterator[None]:
    """Record spans and tell them to `endpoint`, the whole URL (`https://host:4318/v1/traces`), until the block ends.

    `process` is its `service.name`; `ratio` of the traces that begin here are recorded. Where the collector is away, spans are
    dropped and nothing else happens.
    """
    # Its warnings say what could not be sent, again and again: once in the log is enough of an absent collector.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    exporter = OTLPSpanExporter(
        endpoint=endpoint,
        headers=dict(headers or {}),
        timeout=_PATIENCE,
        certificate_file=str(ca) if ca is not None else None,
    )
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(ratio)),
        resource=Resource.create({"service.name": process, "service.namespace": "everleaf"}),
        span_limits=SpanLimits(max_attributes=32, max_attribute_length=300),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    record_with(_Telling(provider.get_tracer("everleaf")))
    try:
        yield
    finally:
        record_with(None)
        provider.force_flush(_PATIENCE * 1000)
        provider.shutdown()


class _Telling:
    """Begins spans of the SDK."""

    def __init__(self, tracer: otel.Tracer) -> None:
        self._tracer = tracer

    def start(self, name: str, *, kind: Kind, parent: str | None, attributes: Attributes) -> Span:
        """Begin one below its parent."""
        context = Context() if parent is None else otel.set_span_in_context(_remote(parent), Context())
        return _Begun(
            self._tracer.start_span(name, context=context, kind=_KINDS[kind], attributes=dict(attributes))
        )


class _Begun:
    """A span of the SDK, as `shared.trace` knows it."""

    def __init__(self, span: otel.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """Return it as the header has it."""
        own = self._span.get_span_context()
        return f"00-{own.trace_id:032x}-{own.span_id:016x}-{int(own.trace_flags):02x}"

    def tell(self, attributes: Attributes, *, name: str | None = None) -> None:
        """Add attributes, and give it a better name."""
        self._span.set_attributes(dict(attributes))
        if name is not None:
            self._span.update_name(name)

    def end(self, error: BaseException | None) -> None:
        """End it. Of an error only the type is told: its text is for the log."""
        if error is not None:
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _remote(traceparent: str) -> NonRecordingSpan:
    _, trace_id, span_id, flags = traceparent.split("-")
    return NonRecordingSpan(
        SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
        )
    )
