"""Remembers unauthenticated postbacks of known merchants, written once a second so that a flood costs nothing."""

import asyncio
from collections import Counter, deque
from datetime import datetime
from typing import Final

from services.conversions.domain.outcomes import Outcome
from services.conversions.storage.rejected_store import KEPT_PER_MERCHANT, RejectedPostback, insert_rejected
from shared.kernel.ids import new_id
from shared.runtime.backoff import Outage, pause
from shared.runtime.database import Database
from shared.runtime.metrics import counter

WRITE_EVERY_SECONDS: Final = 1.0

_rejected = counter(
    "postbacks_unauthenticated", unit="postbacks", meaning="Postbacks not authenticated, by outcome", labels=["outcome"]
)


class RejectedPostbacks:
    """What was rejected since the last write, bounded. database: as `conversions_intake`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recent: dict[int, deque[RejectedPostback]] = {}
        self._counts: Counter[int] = Counter()
        self._stopping = asyncio.Event()
        self._outage = Outage("rejected postbacks")

    def note(
        self, merchant_id: int | None, outcome: Outcome, *, transport: str, request_id: str, received_at: datetime
    ) -> None:
        """Remember one. merchant_id: the merchant it claimed to be; None when it is none we know."""
        _rejected.labels(outcome.label).inc()
        if merchant_id is None:
            return
        self._counts[merchant_id] += 1
        recent = self._recent.setdefault(merchant_id, deque(maxlen=KEPT_PER_MERCHANT))
        recent.append(RejectedPostback(new_id(), merchant_id, received_at, transport, int(outcome), request_id))

    async def write(self) -> None:
        """Write what was noted since; keeps it when the database does not take it."""
        if not self._counts:
            return
        counts, recent = self._counts, self._recent
        self._counts, self._recent = Counter(), {}
        try:
            async with self._database.transaction() as session:
                await insert_rejected(session, [r for of_one in recent.values() for r in of_one], counts)
        except BaseException:
            for merchant_id, kept in recent.items():
                newer = self._recent.get(merchant_id, ())
                self._recent[merchant_id] = deque([*kept, *newer], maxlen=KEPT_PER_MERCHANT)
            self._counts.update(counts)
            raise

    async def run(self) -> None:
        """Write once a second until `stop`."""
        while not self._stopping.is_set():
            try:
                await self.write()
            except Exception as error:
                await self._outage.failed(error, self._stopping)
            else:
                self._outage.recovered()
                await pause(WRITE_EVERY_SECONDS, self._stopping)

    def stop(self) -> None:
        """Leave `run`."""
        self._stopping.set()
