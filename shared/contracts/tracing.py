"""Where an event belongs in its trace: its bytes name the click, and its id the span that made it."""

from uuid import UUID

import msgspec

from shared.kernel.trace import ClickTrace, span_id_of, trace_of_click


class _Traced(msgspec.Struct, frozen=True):
    """The members of an event that say so. transaction_id: of an event that tells of a posting."""

    type: str
    event_id: UUID
    click_id: str | None = None
    transaction_id: UUID | None = None


_decoder = msgspec.json.Decoder(_Traced)


def trace_of_event(payload: bytes) -> ClickTrace | None:
    """The trace of an event's click, and the span that told of it; None where it names no click, or cannot be read."""
    try:
        event = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if event.click_id is None or not event.click_id.isascii():
        return None
    click = trace_of_click(event.click_id)
    if event.type == "click_recorded":
        return click
    return ClickTrace(click.trace_id, span_id_of(event.transaction_id or event.event_id))
