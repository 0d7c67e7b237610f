"""The embedded log: outbox rows, stamped in order by the relay, read by consumers in other services."""

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from shared.contracts.topics import Topic
from shared.runtime.database import Database
from shared.runtime.event_log.interface import (
    LAG_WAIT_SECONDS,
    RECORD_BYTES_MAX,
    Batch,
    Lag,
    PositionOutOfRange,
    Published,
    Received,
)
from shared.runtime.event_log.positions import Positions
from shared.runtime.event_log.waiting import IdleWait
from shared.runtime.tracing import sends_spans

CONTESTED_SECONDS: Final = 0.25
"""How long a worker leaves a partition alone after another worker won it."""

_PENDING: Final = (
    "SELECT id, topic, key, octet_length(payload) + coalesce(octet_length(key), 0) AS bytes FROM outbox"
    " WHERE published_at IS NULL AND parked_reason IS NULL ORDER BY id LIMIT $1"
)

_PARK: Final = f"""
    WITH pending AS ({_PENDING})
    UPDATE outbox SET parked_reason = CASE WHEN pending.bytes > $3 THEN 'event too large' ELSE 'unknown topic' END
    FROM pending WHERE outbox.id = pending.id AND (pending.bytes > $3 OR pending.topic <> ALL ($2::text[]))
"""  # noqa: S608

# The partition is a stable hash of the key (the first eight bytes of its SHA-256), spread by id where there is none.
_STAMP: Final = f"""
    WITH pending AS ({_PENDING}),
    placed AS (
        SELECT id, topic, (CASE
            WHEN key IS NULL THEN id
            ELSE ('x' || encode(substr(sha256(key), 1, 8), 'hex'))::bit(64)::bigint & 9223372036854775807
        END % partitions)::int AS partition
        FROM pending JOIN unnest($2::text[], $3::int[]) AS known (topic, partitions) USING (topic)
        WHERE bytes <= $4
    ),
    ranked AS (
        SELECT id, topic, partition, row_number() OVER (PARTITION BY topic, partition ORDER BY id) AS rank,
            count(*) OVER (PARTITION BY topic, partition) AS size
        FROM placed
    ),
    head AS (
        INSERT INTO outbox_head (topic, partition, next_offset)
        SELECT topic, partition, count(*) FROM placed GROUP BY topic, partition
        ON CONFLICT (topic, partition) DO UPDATE SET next_offset = outbox_head.next_offset + excluded.next_offset
        RETURNING topic, partition, next_offset
    )
    UPDATE outbox SET published_at = now(), partition = ranked.partition,
        "offset" = head.next_offset - ranked.size + ranked.rank - 1
    FROM ranked JOIN head USING (topic, partition) WHERE outbox.id = ranked.id
"""  # noqa: S608

# now() is the transaction's: rows of an earlier pass have an earlier one.
_STAMPED: Final = (
    "SELECT payload FROM (SELECT payload, published_at FROM outbox WHERE published_at IS NOT NULL"
    " ORDER BY id DESC LIMIT $1) AS newest WHERE published_at = now()"
)

_AGES: Final = """
    SELECT outbox.partition, extract(epoch FROM clock_timestamp() - outbox.created_at)::float8 AS age_seconds
    FROM outbox JOIN unnest($2::int[], $3::bigint[]) AS next (partition, next_offset)
        ON outbox.partition = next.partition AND outbox."offset" = next.next_offset
    WHERE outbox.topic = $1 AND outbox."offset" IS NOT NULL
"""

_PRUNE: Final = """
    DELETE FROM outbox WHERE id IN (
        SELECT id FROM (
            SELECT id, published_at FROM outbox
            WHERE topic = $1 AND partition = $2 AND "offset" IS NOT NULL ORDER BY "offset" LIMIT $4
        ) AS oldest WHERE published_at < now() - make_interval(days => $3)
    )
"""


class PostgresPublisher:
    """Stamps committed outbox rows with a partition and a gapless offset, in id order.

    The caller holds the relay's lock, so that offsets become visible in order: a reader that has seen offset n
    will never find a smaller one appear.
    """

    def __init__(self, *, topics: Mapping[str, Topic]) -> None:
        self._topics = topics

    async def start(self) -> None:
        """Nothing to open: the session given to `publish` is all it needs."""

    async def publish(self, session: AsyncSession, limit: int) -> Published:
        """Stamp up to `limit` rows; park those that no topic or reader could take."""
        connection = await session.connection()
        parked = await connection.exec_driver_sql(_PARK, (limit, list(self._topics), RECORD_BYTES_MAX))
        partitions = [topic.partitions for topic in self._topics.values()]
        stamped = await connection.exec_driver_sql(_STAMP, (limit, list(self._topics), partitions, RECORD_BYTES_MAX))
        payloads: list[bytes] = []
        if sends_spans():
            read = await connection.exec_driver_sql(_STAMPED, (stamped.rowcount,))
            payloads = [row.payload for row in read]
        return Published(handled=stamped.rowcount, parked=parked.rowcount, payloads=payloads)

    async def prune(self, session: AsyncSession, limit: int) -> int:
        """Delete the oldest rows of each partition that are past their topic's retention."""
        connection = await session.connection()
        deleted = 0
        for topic in self._topics.values():
            if topic.retention_days is None:
                continue
            for partition in range(topic.partitions):
                result = await connection.exec_driver_sql(_PRUNE, (topic.name, partition, topic.retention_days, limit))
                deleted += result.rowcount
        return deleted

    async def stop(self) -> None:
        """Nothing to close."""


class PostgresEventSource:
    """Reads a producer's outbox through its `_log` role. Any number of workers may share a consumer."""

    def __init__(self, database: Database, *, topic: Topic, log_id: str = "embedded") -> None:
        self._database = database
        self._topic = topic
        self._log_id = log_id
        self._positions: Positions | None = None
        self._next: dict[int, int] = {}
        self._heads: dict[int, int] = {}
        self._contested_until: dict[int, float] = {}
        self._wait = IdleWait()

    @property
    def log_id(self) -> str:
        """`embedded`, or the name given to this log."""
        return self._log_id

    async def start(self, positions: Positions) -> None:
        """Start from the stored positions, which are read when first needed."""
        self._positions = positions
        self._next.clear()
        self._heads.clear()

    async def fetch(self, limit: int) -> Batch | None:
        """The next events of some partition that is not contested; None after a short wait."""
        partition = self._partition_with_more()
        if partition is None:
            await self._look_for_more()
            partition = self._partition_with_more()
        if partition is None:
            await self._wait.idle()
            return None
        self._wait.busy()
        return await self._read(partition, limit)

    async def committed(self, batch: Batch) -> None:
        """Go on after `batch`."""
        self._next[batch.partition] = batch.end_offset

    async def abandoned(self, batch: Batch) -> None:
        """Leave the partition to others for a moment, then start from its stored position."""
        self._next.pop(batch.partition, None)
        self._contested_until[batch.partition] = time.monotonic() + CONTESTED_SECONDS

    async def recheck(self) -> None:
        """Read again, with the next fetch, each partition whose position is not where we left it."""
        assert self._positions is not None, "start first"
        stored = await self._positions.find_all()
        self._next = {partition: at for partition, at in self._next.items() if stored.get(partition) == at}

    async def measure_lag(self, stored: Mapping[int, int]) -> dict[int, Lag]:
        """The lag of every partition: any worker may read any of them."""
        async with asyncio.timeout(LAG_WAIT_SECONDS), self._database.reading() as connection:
            heads = await self._read_heads(connection)
            behind = {partition: head - stored.get(partition, 0) for partition, head in heads.items()}
            late = [partition for partition, records in behind.items() if records > 0]
            result = await connection.exec_driver_sql(
                _AGES, (self._topic.name, late, [stored.get(partition, 0) for partition in late])
            )
            ages = {row.partition: max(0.0, row.age_seconds) for row in result}
        return {partition: Lag(max(0, n), ages.get(partition, 0.0)) for partition, n in behind.items()}

    async def stop(self) -> None:
        """Close the connections to the producer's database."""
        await self._database.close()

    def _partition_with_more(self) -> int | None:
        more = [
            partition
            for partition, next_offset in self._next.items()
            if self._heads.get(partition, next_offset) > next_offset
            and self._contested_until.get(partition, 0.0) < time.monotonic()
        ]
        return random.choice(more) if more else None  # noqa: S311 (spreads workers, no secret)

    async def _look_for_more(self) -> None:
        async with self._database.reading() as connection:
            self._heads = await self._read_heads(connection)
            unknown = [
                partition
                for partition in self._heads.keys() - self._next.keys()
                if self._contested_until.get(partition, 0.0) < time.monotonic()
            ]
            for partition in unknown:
                self._next[partition] = await self._position(connection, partition)
            if unknown:  # another worker may have moved a position past the heads that were read before it
                self._heads = await self._read_heads(connection)
        for partition, next_offset in self._next.items():
            if next_offset > self._heads.get(partition, 0):
                raise PositionOutOfRange(
                    f"{self._topic.name}/{partition}: position {next_offset} is after the log's end"
                    f" {self._heads.get(partition, 0)}: was the producer's database restored to an earlier state?"
                    " Restore the consumer's database to the same point, or reset its positions and replay"
                )

    async def _read_heads(self, connection: AsyncConnection) -> dict[int, int]:
        result = await connection.exec_driver_sql(
            "SELECT partition, next_offset FROM outbox_head WHERE topic = $1", (self._topic.name,)
        )
        return {row.partition: row.next_offset for row in result}

    async def _position(self, connection: AsyncConnection, partition: int) -> int:
        assert self._positions is not None, "start first"
        stored = await self._positions.find(partition)
        if stored is not None:
            return stored
        result = await connection.exec_driver_sql(
            'SELECT coalesce((SELECT min("offset") FROM outbox WHERE topic = $1 AND partition = $2'
            ' AND "offset" IS NOT NULL),'
            " (SELECT next_offset FROM outbox_head WHERE topic = $1 AND partition = $2), 0) AS beginning",
            (self._topic.name, partition),
        )
        return await self._positions.begin(partition, int(result.scalar_one()))

    async def _read(self, partition: int, limit: int) -> Batch:
        expected = self._next[partition]
        async with self._database.reading() as connection:
            result = await connection.exec_driver_sql(
                'SELECT "offset", key, payload FROM outbox WHERE topic = $1 AND partition = $2 AND "offset" >= $3'
                ' AND "offset" IS NOT NULL ORDER BY "offset" LIMIT $4',
                (self._topic.name, partition, expected, limit),
            )
            records = tuple(Received(self._topic.name, partition, row.offset, row.key, row.payload) for row in result)
        if not records or records[0].offset != expected:
            raise PositionOutOfRange(
                f"{self._topic.name}/{partition}: the events from position {expected} were deleted before they were"
                " read (retention in shared/contracts/topics.py): restore them, or reset the consumer's positions"
            )
        return Batch(partition, expected, records[-1].offset + 1, records)
