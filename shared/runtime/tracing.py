"""Which traces a process tells of, and the log lines that do: the same choice in every service, by the trace id alone.

A click's successful redirect and postback leave no log line by themselves, they are too many. Of the traces that
TRACE_SAMPLE_RATIO keeps, each step leaves one, under an event name of its own and with `trace_id`; with the extra
`tributary[tracing]` and OTEL_EXPORTER_OTLP_ENDPOINT it leaves a span too (spans.py).
"""

import time
from dataclasses import dataclass
from typing import Any, Final

from shared.kernel.trace import is_kept, sampling_threshold
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter
from shared.runtime.settings import ProcessSettings

LINES_PER_SECOND_MAX: Final = 100
"""Of one process. At the default ratio it is reached at 10,000 clicks a second; above, lines are left out, counted."""

TRACE_HEADER: Final = b"tributary-trace"
"""From a service's hot door to the gateway, in the answer: the trace that the request turned out to belong to."""

TRACE_LOGGER: Final = "tributary.trace"
"""The logger of these lines."""

_log = get_logger(TRACE_LOGGER)
_left_out = counter("trace_lines_left_out", unit="lines", meaning="Log lines of kept traces beyond the limit a second")


@dataclass(slots=True)
class _State:
    """threshold: nothing is kept before `configure_tracing`."""

    threshold: str = sampling_threshold(0.0)
    second: int = 0
    lines: int = 0


_state = _State()


def configure_tracing(settings: ProcessSettings) -> None:
    """Keep the share of traces that the settings say, from here on."""
    _state.threshold = sampling_threshold(settings.trace_ratio)


def keeps(trace_id: str) -> bool:
    """True when this process, like every other with the same ratio, tells of the trace."""
    return is_kept(trace_id, _state.threshold)


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
