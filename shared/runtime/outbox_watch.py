"""What an operator sees of an outbox: how much waits, since when, and what no log could take."""

import time
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.runtime.metrics import gauge

LOOK_SECONDS: Final = 5.0
COUNTED_MAX: Final = 100_000
"""Rows counted at most; more of them is no other news, and takes longer to count."""

_pending = gauge(
    "outbox_pending",
    unit="records",
    meaning=f"Committed events that no log has yet, counted up to {COUNTED_MAX}",
    labels=["service"],
)
_parked = gauge(
    "outbox_parked", unit="records", meaning="Events that no log could take and that stay behind", labels=["service"]
)
_oldest = gauge("outbox_oldest_pending", unit="seconds", meaning="Age of the oldest event waiting", labels=["service"])

_COUNT: Final = """
    SELECT (SELECT count(*) FROM (
        SELECT 1 FROM outbox WHERE published_at IS NULL AND parked_reason IS NULL LIMIT $1) AS waiting) AS pending,
    (SELECT count(*) FROM (
        SELECT 1 FROM outbox WHERE parked_reason IS NOT NULL LIMIT $1) AS behind) AS parked
"""


class OutboxWatch:
    """The gauges of one service's outbox."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._next_look = 0.0

    def show_oldest(self, age_seconds: float) -> None:
        """Say how old the oldest pending row is; 0 where nothing waits."""
        _oldest.labels(self._service).set(age_seconds)

    async def look(self, connection: AsyncConnection) -> None:
        """Count, if LOOK_SECONDS have passed."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        counts = (await connection.exec_driver_sql(_COUNT, (COUNTED_MAX,))).one()
        _pending.labels(self._service).set(counts.pending)
        _parked.labels(self._service).set(counts.parked)
