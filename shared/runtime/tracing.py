"""Which traces a process tells of, and the log lines that do: the same choice in every service, by the trace id alone.

A click's successful redirect and postback leave no log line by themselves, they are too many. Of the traces that
TRACE_SAMPLE_RATIO keeps, each step leaves one, under an event name of its own and with `trace_id`; with the extra
`tributary[tracing]` and OTEL_EXPORTER_OTLP_ENDPOINT it leaves a span too (spans.py).
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.contracts.tracing import trace_of_event
from shared.kernel.ids import new_id
from shared.kernel.trace import ClickTrace, is_kept, sampling_threshold, span_id_of
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter
from shared.runtime.settings import ProcessSettings

if TYPE_CHECKING:
    from shared.runtime.spans import Attributes, Kind, SpanSender

LINES_PER_SECOND_MAX: Final = 25
"""Of one process: a line under load was measured at 0.4 ms, so a hundredth of it at most. The rest is counted."""

TRACE_LOGGER: Final = "tributary.trace"
"""The logger of these lines."""

SPAN_HEADER: Final = b"tributary-internal-span"
"""From the gateway to a hot door: the gateway makes a span of the request, so the service's own may hang on it."""

LINKS_MAX: Final = 128
"""Traces that the span of one batch names, OpenTelemetry's own default; how many there were is told beside them."""

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_log = get_logger(TRACE_LOGGER)
_left_out = counter("trace_lines_left_out", unit="lines", meaning="Log lines of kept traces beyond the limit a second")


@dataclass(slots=True)
class _State:
    """threshold: nothing is kept before `configure_tracing`. sender: None while no spans are asked for."""

    threshold: str = sampling_threshold(0.0)
    sender: "SpanSender | None" = None
    second: int = 0
    lines: int = 0


_state = _State()
_batch: ContextVar[ClickTrace | None] = ContextVar("batch_span", default=None)


def configure_tracing(settings: ProcessSettings, service: str = "", role: str = "") -> None:
    """Keep the share of traces that the settings say, from here on, and send spans where OTEL_* names a collector."""
    _state.threshold = sampling_threshold(settings.trace_ratio)
    if not service or not any(os.environ.get(name) for name in _ENDPOINTS):
        return
    try:
        from shared.runtime.spans import SpanSender
    except ImportError:
        _log.warning("spans_not_sent", reason="the extra tributary[tracing] is not installed")
        return
    _state.sender = SpanSender(service=service, role=role)


def close_tracing() -> None:
    """Send the spans that are left, within two seconds."""
    if _state.sender is not None:
        _state.sender.close()
        _state.sender = None


def keeps(trace_id: str) -> bool:
    """True when this process, like every other with the same ratio, tells of the trace."""
    return is_kept(trace_id, _state.threshold)


def sends_spans() -> bool:
    """True where spans are made: what they need beyond log lines is worth computing."""
    return _state.sender is not None


def tell(event: str, *, trace_id: str, **fields: Any) -> None:
    """One line of a trace that is kept. fields: never a secret, a click ID or anything personal."""
    second = int(time.monotonic())
    if second != _state.second:
        _state.second, _state.lines = second, 0
    _state.lines += 1
    if _state.lines > LINES_PER_SECOND_MAX:
        _left_out.inc()
        return
    _log.info(event, trace_id=trace_id, **fields)


def span(
    name: str,
    *,
    trace_id: str,
    span_id: str,
    seconds: float,
    parent_id: str | None = None,
    kind: "Kind" = "internal",
    attributes: "Attributes | None" = None,
    links: Sequence[ClickTrace] = (),
    failed: bool = False,
) -> None:
    """A span of a trace that is kept, which ends now and took `seconds`; nothing where spans are not sent.

    attributes: as `tell`'s fields, never a secret, a click ID or anything personal.
    """
    if _state.sender is None:
        return
    ended_ns = time.time_ns()
    _state.sender.send(
        name,
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        started_ns=ended_ns - int(seconds * 1e9),
        ended_ns=ended_ns,
        kind=kind,
        attributes=attributes or {},
        links=links,
        failed=failed,
    )


@contextmanager
def batch_span(name: str, kind: "Kind", payloads: Iterable[bytes]) -> Iterator[None]:
    """A span around the block, in a trace of its own, linked to the kept traces of the events it carries.

    No span where none of them is kept, or the block raises. Within the block `span_of_batch` gives it.
    """
    if _state.sender is None:
        yield
        return
    kept, own = _kept_of(payloads), ClickTrace(new_id().hex, span_id_of(new_id()))
    token, started = _batch.set(own if kept else None), time.perf_counter()
    try:
        yield
    finally:
        _batch.reset(token)
    _span_batch(name, kind, own, kept, time.perf_counter() - started)


def span_after_batch(name: str, kind: "Kind", payloads: Sequence[bytes], seconds: float) -> None:
    """The same for what is known only afterwards, and took `seconds`."""
    if payloads and _state.sender is not None:
        _span_batch(name, kind, ClickTrace(new_id().hex, span_id_of(new_id())), _kept_of(payloads), seconds)


def _kept_of(payloads: Iterable[bytes]) -> list[ClickTrace]:
    traces = (trace_of_event(payload) for payload in payloads)
    return [trace for trace in traces if trace is not None and keeps(trace.trace_id)]


def _span_batch(name: str, kind: "Kind", own: ClickTrace, kept: Sequence[ClickTrace], seconds: float) -> None:
    if kept:
        span(
            name,
            trace_id=own.trace_id,
            span_id=own.span_id,
            seconds=seconds,
            kind=kind,
            attributes={"tributary.traces": len(kept)},
            links=kept[:LINKS_MAX],
        )


def span_of_batch() -> tuple[ClickTrace, ...]:
    """The span of the batch in hand, to link to; empty outside one."""
    own = _batch.get()
    return () if own is None else (own,)
