"""What a hot door's answer tells the gateway alone: the trace that the request turned out to belong to.

`Tributary-Trace: trace` or `trace-span-parent`, hexadecimal: the span the gateway is to make of the request, and what
that hangs on (zeros: nothing). The gateway takes the header out; where there is no gateway it does no harm.
"""

import re
from dataclasses import dataclass
from typing import Final

TRACE_HEADER: Final = b"tributary-trace"
_TRACE: Final = re.compile(r"([0-9a-f]{32})(?:-([0-9a-f]{16})-([0-9a-f]{16}))?", re.ASCII)
_REQUEST_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NOTHING: Final = "0" * 16


@dataclass(frozen=True, slots=True)
class Told:
    """trace_id: None where the trace is not kept. service_request_id: under which the service logged the request."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_id: str | None = None
    service_request_id: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """For the request's log line."""
        found = {"trace_id": self.trace_id, "service_request_id": self.service_request_id}
        return {name: value for name, value in found.items() if value is not None}


def read_told(trace: str | None, request_id: str | None) -> Told:
    """What the two headers say; anything but plain ids is as good as nothing."""
    read = _TRACE.fullmatch(trace) if trace else None
    known = request_id if request_id and _REQUEST_ID.fullmatch(request_id) else None
    if read is None:
        return Told(service_request_id=known)
    return Told(read[1], read[2], None if read[3] == _NOTHING else read[3], known)


def told_header(trace_id: str, *, span_id: str | None = None, parent_id: str | None = None) -> tuple[bytes, bytes]:
    """The header for an answer. span_id: of the gateway's span, where spans are made."""
    value = trace_id if span_id is None else f"{trace_id}-{span_id}-{parent_id or _NOTHING}"
    return TRACE_HEADER, value.encode("ascii")
