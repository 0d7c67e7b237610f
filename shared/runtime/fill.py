"""How full every bounded place is: one gauge for what is in it, one for its limit, one count of what it refused."""

from collections.abc import Callable

from shared.runtime.metrics import counter, gauge

_fill = gauge(
    "queue_fill", unit="items", meaning="What is in a bounded queue, buffer, group or pool now, by its name",
    labels=("queue",),
)  # fmt: skip
_limit = gauge("queue_limit", unit="items", meaning="What that place holds at most", labels=("queue",))
_refused = counter(
    "queue_refused", unit="items", meaning="What that place had no room for: answered 503, or lost where it says so",
    labels=("queue",),
)  # fmt: skip


class Fill:
    """The three series of one place. queue: its name, `click_buffer`. limit: fixed, in items."""

    def __init__(self, queue: str, *, limit: int, read: Callable[[], float] | None = None) -> None:
        self._gauge = _fill.labels(queue)
        self._count = _refused.labels(queue)
        _limit.labels(queue).set(limit)
        if read is not None:
            self._gauge.set_function(read)

    def set(self, items: int) -> None:
        """So many are in it now."""
        self._gauge.set(items)

    def refused(self, items: int = 1) -> None:
        """There was no room for so many."""
        self._count.inc(items)
