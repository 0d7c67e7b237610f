"""Trace ids: one for everything that comes of a click, computed by whoever holds the click ID, carried by nobody.

A postback may arrive before its click's event, and years of events tell of clicks that nobody traced: what is
derived is there whenever the click ID is. One-way: the trace id is half of a SHA-256, and the click ID's 112-bit tag
cannot be had back from it, so that logs may hold it (ADR-0010).
"""

import hashlib
from typing import Final, NamedTuple
from uuid import UUID

TRACE_ID_CHARACTERS: Final = 32
SPAN_ID_CHARACTERS: Final = 16
_RANDOM_FROM: Final = TRACE_ID_CHARACTERS - 8
_RANDOM_VALUES: Final = 2**32
_NEVER: Final = "g"  # sorts after every hexadecimal digit


class ClickTrace(NamedTuple):
    """The ids of a click's trace, hexadecimal. span_id: of the click itself, which everything after it hangs on."""

    trace_id: str
    span_id: str


def trace_of_click(spelling: str) -> ClickTrace:
    """The trace of the click ID spelt `spelling` (canonical): its SHA-256, cut after 16 bytes and after 8 more.

    In a shell: `printf %s "$CLICK_ID" | sha256sum | cut -c1-32`.
    """
    digest = hashlib.sha256(spelling.encode("ascii")).hexdigest()
    return ClickTrace(digest[:32], digest[32:48])


def trace_id_of_click(spelling: str) -> str:
    """The trace id alone, for the redirect's hot path."""
    return hashlib.sha256(spelling.encode("ascii")).hexdigest()[:32]


def door_span_id_of_click(spelling: str) -> str:
    """The span of the gateway's request for a click, which learns of the click only from the answer."""
    return hashlib.sha256(spelling.encode("ascii")).hexdigest()[48:]


def span_id_of(made: UUID) -> str:
    """The span of what made the row, event or request with this id: its last 8 bytes."""
    return made.hex[16:]


def sampling_threshold(ratio: float) -> str:
    """What the last 8 digits of a trace id are compared with so that `ratio` (0 to 1) of all traces are kept.

    Those 32 bits are random in a click's trace id and in a request id (UUIDv7: time, then a counter, then chance)
    alike. A trace kept at one ratio is kept at every larger one.
    """
    if not 0.0 <= ratio <= 1.0:
        raise ValueError("a sampling ratio is between 0 and 1")
    rejected = round((1.0 - ratio) * _RANDOM_VALUES)
    return _NEVER if rejected >= _RANDOM_VALUES else f"{rejected:08x}"


def is_kept(trace_id: str, threshold: str) -> bool:
    """True for a trace that every service with this threshold keeps."""
    return trace_id[_RANDOM_FROM:] >= threshold
