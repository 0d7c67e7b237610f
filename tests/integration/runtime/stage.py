"""A small stage: a producer's database, a consumer's database, a topic of its own, and a table that records effects."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.topics import Topic
from shared.kernel.ids import new_id
from shared.runtime.clock import SystemClock
from shared.runtime.consumer import Consumer, Handler, Received, UnprocessableEvent
from shared.runtime.database import Database
from shared.runtime.event_log import EventSource, Publisher
from shared.runtime.event_log.kafka import KafkaEventSource, KafkaPublisher
from shared.runtime.event_log.postgres import PostgresEventSource, PostgresPublisher
from shared.runtime.outbox import OutgoingEvent, append
from shared.runtime.relay import Relay

PATIENCE_SECONDS = 40.0


async def record_effects(session: AsyncSession, batch: Sequence[Received]) -> None:
    """The handler of these tests: one row an event, no natural key, so that a second effect shows.

    `poison` can never succeed; `null` is refused by PostgreSQL itself (SQLSTATE class 22).
    """
    for received in batch:
        if received.payload.startswith(b"poison"):
            raise UnprocessableEvent("poison")
        body = received.payload.decode().replace("null", "\0")
        await session.execute(
            text('INSERT INTO effect (topic, partition, "offset", key, body) VALUES (:t, :p, :o, :k, :b)'),
            {"t": received.topic, "p": received.partition, "o": received.offset, "k": received.key, "b": body},
        )


@dataclass(slots=True)
class Stage:
    """One test's topic and consumer name, on either log."""

    producer_url: str
    consumer_url: str
    bootstrap_servers: str
    log_id: str
    topic: Topic
    consumer_name: str = field(default_factory=lambda: f"consumer-{uuid4().hex[:8]}")

    @property
    def is_kafka(self) -> bool:
        """Which log."""
        return bool(self.bootstrap_servers)

    def producer_database(self, role: str = "clicks_worker") -> Database:
        """The producer's database."""
        return Database(self.producer_url, role=role, pool_size=3)

    def consumer_database(self) -> Database:
        """The consumer's database."""
        return Database(self.consumer_url, role="conversions_worker", pool_size=3)

    def publisher(self) -> Publisher:
        """What the relay of this log uses."""
        topics = {self.topic.name: self.topic}
        return (
            KafkaPublisher(self.bootstrap_servers, topics=topics) if self.is_kafka else PostgresPublisher(topics=topics)
        )

    def source(self, *, log_id: str | None = None, session_timeout_ms: int = 6000) -> EventSource:
        """The topic as a consumer reads it."""
        if self.is_kafka:
            return KafkaEventSource(
                self.bootstrap_servers,
                topic=self.topic.name,
                log_id=log_id or self.log_id,
                session_timeout_ms=session_timeout_ms,
            )
        return PostgresEventSource(self.producer_database("clicks_log"), topic=self.topic, log_id=log_id or self.log_id)

    def consumer(
        self,
        database: Database,
        *,
        handler: Handler = record_effects,
        source: EventSource | None = None,
        batch_size: int = 20,
        dead_letter_limit: int = 100,
    ) -> Consumer:
        """This test's consumer."""
        return Consumer(
            name=self.consumer_name,
            topic=self.topic.name,
            database=database,
            source=source or self.source(),
            handler=handler,
            clock=SystemClock(),
            batch_size=batch_size,
            dead_letter_limit=dead_letter_limit,
        )

    async def publish(self, bodies: Sequence[str | bytes], *, key: str | None = "a", topic: str | None = None) -> None:
        """Append events to the outbox as the producer's api role does."""
        database = self.producer_database("clicks_api")
        events = [
            OutgoingEvent(
                topic or self.topic.name,
                None if key is None else key.encode(),
                new_id(),
                body if isinstance(body, bytes) else body.encode(),
            )
            for body in bodies
        ]
        async with database.transaction() as session:
            await append(session, events)
        await database.close()

    async def effects(self) -> list[tuple[int, int, str]]:
        """(partition, offset, body) of each effect, in the order of their writing."""
        return [
            (int(partition), int(offset), str(body))
            for partition, offset, body in await self.ask(
                'SELECT partition, "offset", body FROM effect WHERE topic = :topic ORDER BY id', topic=self.topic.name
            )
        ]

    async def bodies(self) -> list[str]:
        """The bodies handled, in the order of their writing."""
        return [body for _, _, body in await self.effects()]

    async def ask(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query in the consumer's database."""
        database = self.consumer_database()
        async with database.transaction() as session:
            rows = [tuple(row) for row in await session.execute(text(query), parameters)]
        await database.close()
        return rows

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[Relay]:
        """The relay, running."""
        database = self.producer_database()
        relay = Relay(database=database, publisher=self.publisher(), service="clicks")
        async with running(relay):
            yield relay
        await database.close()

    @asynccontextmanager
    async def consuming(self, **options: object) -> AsyncIterator[Consumer]:
        """A consumer, running; options as for `consumer`."""
        database = self.consumer_database()
        consumer = self.consumer(database, **options)  # type: ignore[arg-type]
        async with running(consumer):
            yield consumer
        await database.close()


@asynccontextmanager
async def running(task: Relay | Consumer) -> AsyncIterator[None]:
    """Run the task beside the block; stop it at the end and show what it raised."""
    work = asyncio.create_task(task.run())
    try:
        yield
    finally:
        task.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(work, PATIENCE_SECONDS)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the awaited condition is true; fail the test when it takes too long."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)
