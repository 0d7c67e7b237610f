"""How long a poller sleeps: short while there is work, longer the longer there is none."""

import asyncio
from typing import Final

SHORTEST_SECONDS: Final = 0.02
LONGEST_SECONDS: Final = 0.1
"""Idle pollers cost about a millisecond of CPU each time; this keeps a quiet system quiet and an event's way short."""


class IdleWait:
    """Sleeps SHORTEST_SECONDS after work, growing by half to LONGEST_SECONDS while idle."""

    def __init__(self) -> None:
        self._seconds = SHORTEST_SECONDS

    async def idle(self) -> None:
        """There was nothing to do."""
        await asyncio.sleep(self._seconds)
        self._seconds = min(LONGEST_SECONDS, self._seconds * 1.5)

    def busy(self) -> None:
        """There was something to do."""
        self._seconds = SHORTEST_SECONDS
