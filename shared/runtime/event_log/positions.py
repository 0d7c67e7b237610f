"""Stored positions: where each consumer stands, in the same database as its effects. They are the truth."""

from sqlalchemy.ext.asyncio import AsyncSession

from shared.runtime.database import Database
from shared.runtime.event_log.interface import LogIdentityMismatch

_FENCE = (
    "UPDATE position SET next_offset = $5 WHERE ctid = ("
    " SELECT ctid FROM position WHERE consumer = $1 AND topic = $2 AND partition = $3 AND next_offset = $4"
    " AND log_id = $6 FOR UPDATE SKIP LOCKED)"
)


class Positions:
    """The positions of one consumer in one topic of one log."""

    def __init__(self, *, database: Database, consumer: str, topic: str, log_id: str) -> None:
        self.consumer = consumer
        self.topic = topic
        self.log_id = log_id
        self._database = database

    async def find(self, partition: int) -> int | None:
        """The next offset to handle, or None where nothing is stored. Raises LogIdentityMismatch."""
        async with self._database.transaction() as session:
            return await self._find(session, partition)

    async def find_all(self) -> dict[int, int]:
        """Every stored position, by partition, in one round trip."""
        async with self._database.reading() as connection:
            result = await connection.exec_driver_sql(
                "SELECT partition, next_offset FROM position WHERE consumer = $1 AND topic = $2",
                (self.consumer, self.topic),
            )
            return {row.partition: row.next_offset for row in result}

    async def begin(self, partition: int, beginning_offset: int) -> int:
        """Store the log's beginning as the position, unless another worker stored one first; gives what is stored."""
        async with self._database.transaction() as session:
            connection = await session.connection()
            await connection.exec_driver_sql(
                "INSERT INTO position (consumer, topic, partition, next_offset, log_id) VALUES ($1, $2, $3, $4, $5)"
                " ON CONFLICT DO NOTHING",
                (self.consumer, self.topic, partition, beginning_offset, self.log_id),
            )
            stored = await self._find(session, partition)
        return beginning_offset if stored is None else stored

    async def move(self, session: AsyncSession, *, partition: int, expected_offset: int, end_offset: int) -> bool:
        """The fence: advance from `expected_offset` to `end_offset`, as the first statement of a transaction.

        False when the position is elsewhere or another worker is moving it: nothing of the batch may be done then.
        """
        connection = await session.connection()
        result = await connection.exec_driver_sql(
            _FENCE, (self.consumer, self.topic, partition, expected_offset, end_offset, self.log_id)
        )
        return result.rowcount == 1

    async def _find(self, session: AsyncSession, partition: int) -> int | None:
        connection = await session.connection()
        result = await connection.exec_driver_sql(
            "SELECT next_offset, log_id FROM position WHERE consumer = $1 AND topic = $2 AND partition = $3",
            (self.consumer, self.topic, partition),
        )
        row = result.one_or_none()
        if row is None:
            return None
        if row.log_id != self.log_id:
            raise LogIdentityMismatch(
                f"consumer {self.consumer} stands in log {row.log_id}, this process reads log {self.log_id}:"
                " go back to the first log (BROKER, LOG_ID), or, if the events were copied to the new one,"
                " reset the consumer's positions and replay"
            )
        return int(row.next_offset)


async def reset_positions(session: AsyncSession, consumer: str) -> int:
    """Forget where `consumer` stands, so that it replays from the log's beginning; gives how many partitions.

    Safe while the consumer runs: a batch in hand fails the fence, and within a second or so it starts over, also where
    nothing new happens.
    """
    connection = await session.connection()
    result = await connection.exec_driver_sql("DELETE FROM position WHERE consumer = $1", (consumer,))
    return result.rowcount
