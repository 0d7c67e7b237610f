"""The short way into the outbox, for groups of events that stand alone: one statement, one commit, one round trip."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from shared.runtime.database import Database
from shared.runtime.outbox import INSERT_EVENTS, OutgoingEvent, columns_of


@dataclass(frozen=True, slots=True)
class _Lease:
    """A connection that stays ours. driver: its asyncpg connection, which commits each statement by itself."""

    stack: AsyncExitStack
    connection: Any
    driver: Any


class OutboxLine:
    """Appends groups of events to one database's outbox over connections it keeps; groups may overlap.

    A third of the price of a session's transaction, which decides where groups are small and many (the redirect). For
    events that tell of nothing else in the database; the others use `append` in their effect's own transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle: list[_Lease] = []

    async def append(self, events: Sequence[OutgoingEvent]) -> None:
        """Return when `events` are committed. After any error they may be or not; the connection is dropped."""
        lease = self._idle.pop() if self._idle else await self._open()
        try:
            await lease.driver.fetch(INSERT_EVENTS, *columns_of(events))
        except BaseException as error:
            await self._drop([lease, *self._take_idle()], error)  # the idle ones are of the same server, or older
            raise
        self._idle.append(lease)

    async def close(self) -> None:
        """Give the connections back."""
        for lease in self._take_idle():
            await lease.stack.aclose()

    async def _open(self) -> _Lease:
        stack = AsyncExitStack()
        connection = await stack.enter_async_context(self._database.reading())
        raw = await connection.get_raw_connection()
        return _Lease(stack, connection, raw.driver_connection)

    def _take_idle(self) -> list[_Lease]:
        idle, self._idle = self._idle, []
        return idle

    async def _drop(self, leases: Sequence[_Lease], error: BaseException) -> None:
        for lease in leases:
            try:
                await lease.connection.invalidate()
            finally:
                await lease.stack.__aexit__(type(error), error, error.__traceback__)
