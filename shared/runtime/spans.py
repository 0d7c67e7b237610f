"""Spans for OpenTelemetry, made after the fact and sent over OTLP from a thread of the SDK's.

Needs the extra `tributary[tracing]`, so it is imported only when spans are asked for. Endpoint, headers, time limits
and resource attributes are OpenTelemetry's own OTEL_* variables.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

Kind = Literal["server", "internal", "producer", "consumer"]
Attributes = Mapping[str, str | int | bool]

CLOSE_SECONDS: Final = 2.0
"""For what is not sent yet when the process stops; a collector that is away must not hold the stop up."""

_KINDS: Final = {
    "server": SpanKind.SERVER,
    "internal": SpanKind.INTERNAL,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


class SpanSender:
    """Takes finished spans and sends them in batches. Never blocks: the SDK drops what its queue cannot hold."""

    def __init__(self, *, service: str, role: str) -> None:
        attributes = {
            "service.namespace": "tributary",
            "service.name": service,
            "tributary.role": role,
        }
        self._resource = Resource.create(attributes)
        self._scope = InstrumentationScope("tributary")
        self._processor = BatchSpanProcessor(OTLPSpanExporter())

    def send(
        self,
        name: str,
        *,
        trace_id: str,
        span_id: str,
        parent_id: str | None,
        started_ns: int,
        ended_ns: int,
        kind: Kind,
        attributes: Attributes,
        links: Sequence[tuple[str, str]],
        failed: bool,
    ) -> None:
        """One span. Ids hexadecimal; links: trace id and span id each."""
        span = ReadableSpan(
            name,
            context=_context(trace_id, span_id, is_remote=False),
            parent=None if parent_id is None else _context(trace_id, parent_id, is_remote=True),
            resource=self._resource,
            attributes=attributes,
            links=[Link(_context(*link, is_remote=True)) for link in links],
            kind=_KINDS[kind],
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=started_ns,
            end_time=ended_ns,
            instrumentation_scope=self._scope,
        )
        self._processor.on_end(span)

    def close(self) -> None:
        """Send what is left, within CLOSE_SECONDS."""
        closing = threading.Thread(target=self._processor.shutdown, name="spans-close", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def _context(trace_id: str, span_id: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED))
