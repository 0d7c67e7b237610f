"""Let go of idempotent answers nobody will ask for again."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Final

from services.gateway.storage.idempotency_store import forget_answers
from shared.kernel.clock import Clock
from shared.runtime.database import Database

KEPT: Final = timedelta(days=30)
EVERY_SECONDS: Final = 3_600.0
BATCH: Final = 5_000


class AnswerSweep:
    """Deletes answers older than KEPT, hourly, a batch at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Finish the batch in hand and leave."""
        self._stopping.set()

    async def run(self) -> None:
        """Sweep until `stop`."""
        while not self._stopping.is_set():
            while await self.sweep() == BATCH and not self._stopping.is_set():
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), EVERY_SECONDS)

    async def sweep(self) -> int:
        """Delete one batch; gives how many were deleted."""
        async with self._database.transaction() as session:
            return await forget_answers(session, before=self._clock.now() - KEPT, limit=BATCH)
