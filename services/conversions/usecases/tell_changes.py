"""Log lines and spans of conversions' versions, once they are committed, for clicks whose trace is kept."""

import time
from collections.abc import Iterable, Sequence
from functools import partial

from services.conversions.storage.first_versions import FirstVersion
from services.conversions.usecases.judge_postback import Submission
from shared.contracts.conversions import ConversionChangedV1
from shared.kernel.trace import ClickTrace, span_id_of, trace_id_of_click, trace_of_click
from shared.runtime.database import Session, after_commit
from shared.runtime.tracing import keeps, sends_spans, span, span_of_batch, tell


def tell_changes(session: Session, events: Sequence[ConversionChangedV1]) -> None:
    """A line for each version, and a span under the click's own: they come long after the postback, by other hands."""
    for event in events:
        if event.click_id is None or not keeps(trace_id_of_click(event.click_id)):
            continue
        after_commit(
            session, partial(_tell_change, event, trace_of_click(event.click_id), span_of_batch(), time.perf_counter())
        )


def _tell_change(event: ConversionChangedV1, trace: ClickTrace, batch: Sequence[ClickTrace], started: float) -> None:
    tell(
        "conversion_changed",
        trace_id=trace.trace_id,
        event_id=str(event.event_id),
        conversion_id=event.conversion_id,
        version=event.version,
        change=event.change,
        status=event.status,
    )
    span(
        f"conversion {event.change}",
        trace_id=trace.trace_id,
        span_id=span_id_of(event.event_id),
        parent_id=trace.span_id,
        seconds=time.perf_counter() - started,
        attributes={"tributary.conversion_id": event.conversion_id, "tributary.status": event.status},
        links=batch,
    )


def trace_first_versions(session: Session, made: Iterable[tuple[Submission, FirstVersion]]) -> None:
    """A span for each attribution, under its postback's; the postback's own log line tells the rest."""
    if not sends_spans():
        return
    for submission, first in made:
        if keeps(submission.trace_id):
            after_commit(session, partial(_trace_attribution, submission, first, time.perf_counter()))


def _trace_attribution(submission: Submission, first: FirstVersion, started: float) -> None:
    claim, conversion = submission.claim, first.conversion
    # Several of one request share one request's span, which is in a trace of its own.
    click_span_id = None if claim is None else claim.trace.span_id
    parent_id = click_span_id if submission.arrival.is_batch else submission.span_id
    span(
        "attribution",
        trace_id=submission.trace_id,
        span_id=span_id_of(first.event.event_id),
        parent_id=parent_id,
        seconds=time.perf_counter() - started,
        attributes={
            "tributary.conversion_id": str(conversion.id),
            "tributary.status": conversion.status.value,
            "tributary.outcome": conversion.outcome.label,
        },
    )
