"""Work that time, not an event, makes due: done in batches until none is left, then again after a pause."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.kernel.clock import Clock
from shared.runtime.backoff import Outage, pause
from shared.runtime.database import Database, Session

Step = Callable[[Session, Clock], Awaitable[int]]


class Sweep:
    """Runs `step` in transactions of its own every `every_seconds`; several workers share the work by row locks."""

    def __init__(self, name: str, step: Step, *, database: Database, clock: Clock, every_seconds: float) -> None:
        self._step = step
        self._database = database
        self._clock = clock
        self._every_seconds = every_seconds
        self._stopping = asyncio.Event()
        self._outage = Outage(name)

    async def run(self) -> None:
        """Sweep until `stop`, through the loss of the database."""
        while not self._stopping.is_set():
            try:
                async with self._database.transaction() as session:
                    done = await self._step(session, self._clock)
            except Exception as error:
                await self._outage.failed(error, self._stopping)
                continue
            self._outage.recovered()
            if not done:
                await pause(self._every_seconds, self._stopping)

    def stop(self) -> None:
        """Finish the batch in hand and leave."""
        self._stopping.set()

    async def health(self) -> str | None:
        """Why the work is late, or None; a check for Health.add_check."""
        return f"retrying after {self._outage.reason}" if self._outage.reason else None
