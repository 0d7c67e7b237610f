"""Writing to Kafka: acknowledged by all replicas, idempotent, through a producer that is replaced when it breaks."""

import asyncio
import contextlib
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from shared.contracts.topics import Topic
from shared.runtime.event_log.interface import RECORD_BYTES_MAX, Published
from shared.runtime.failpoint import failpoint
from shared.runtime.logging import get_logger
from shared.runtime.tracing import sends_spans

ACK_SECONDS: Final = 10.0
"""How long one batch may wait for its acknowledgement; then its producer is replaced and the batch sent again."""

SENT_ROWS_KEPT_DAYS: Final = 1

_CLOSE_SECONDS: Final = 3.0

_log = get_logger(__name__)


class PublishFailed(Exception):
    """Kafka did not acknowledge in time or refused; the events may or may not be in the log."""


class _Producer:
    """One AIOKafkaProducer at a time. After any failure it is thrown away: aiokafka's idempotent producer does not
    recover from OutOfOrderSequenceNumber (aiokafka issue 1017)."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def get(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap_servers,
                    acks="all",
                    enable_idempotence=True,
                    max_request_size=1_000_000,
                    max_batch_size=1_000_000,
                    request_timeout_ms=int(ACK_SECONDS * 1000),
                    linger_ms=0,
                )
                _assert_safe(producer)
                try:
                    async with asyncio.timeout(ACK_SECONDS):
                        await producer.start()
                except BaseException:
                    await _close(producer)
                    raise
                self._producer = producer
            return self._producer

    def replace(self, producer: AIOKafkaProducer) -> None:
        """Throw `producer` away, if it is still the one in use; the next `get` makes a new one."""
        if self._producer is producer:
            self._producer = None
            task = asyncio.create_task(_close(producer))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer)
        await asyncio.gather(*self._closing)


def _assert_safe(producer: AIOKafkaProducer) -> None:
    """The settings as the producer took them, not as we asked: its defaults lose data."""
    if producer._sender._acks != -1 or producer._txn_manager is None:
        raise AssertionError("the Kafka producer must wait for all replicas and be idempotent")


async def _close(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await producer.stop()
    except Exception:  # a broken producer cannot flush; drop what it holds, the outbox still has it
        with contextlib.suppress(Exception):
            await producer._sender.close()
        with contextlib.suppress(Exception):
            await producer.client.close()


class KafkaPublisher:
    """Sends outbox rows to Kafka in id order and marks a row only after its acknowledgement.

    When a row fails, later rows of the same key stay unmarked with it, so that the key's order holds in the resend.
    """

    def __init__(self, bootstrap_servers: str, *, topics: Mapping[str, Topic]) -> None:
        self._topics = topics
        self._producer = _Producer(bootstrap_servers)

    async def start(self) -> None:
        """Nothing yet: the producer is made when there is something to send."""

    async def stop(self) -> None:
        """Flush and close the producer, within a few seconds."""
        await self._producer.close()

    async def publish(self, session: AsyncSession, limit: int) -> Published:
        """Send up to `limit` rows, wait for all acknowledgements, mark or park."""
        connection = await session.connection()
        result = await connection.exec_driver_sql(
            "SELECT id, topic, key, payload FROM outbox WHERE published_at IS NULL AND parked_reason IS NULL"
            " ORDER BY id LIMIT $1",
            (limit,),
        )
        rows = result.all()
        reasons = {row.id: reason for row in rows if (reason := self._unpublishable(row)) is not None}
        outcomes = await self._send([row for row in rows if row.id not in reasons])
        failpoint("relay.after_send_before_mark")
        sent: list[int] = []
        failure: Exception | None = None
        held_back: set[tuple[str, bytes | None]] = set()
        for row, outcome in outcomes:
            if isinstance(outcome, MessageSizeTooLargeError):
                reasons[row.id] = "event too large for the broker"
            elif outcome is not None:
                failure = failure or outcome
                held_back.add((row.topic, row.key))
            elif row.key is None or (row.topic, row.key) not in held_back:
                sent.append(row.id)
        await _mark(connection, sent, reasons)
        published = set(sent) if sends_spans() else ()
        payloads = [row.payload for row in rows if row.id in published]
        return Published(handled=len(sent), parked=len(reasons), failure=failure, payloads=payloads)

    async def prune(self, session: AsyncSession, limit: int) -> int:
        """Delete rows that were sent more than a day ago: Kafka keeps the events."""
        connection = await session.connection()
        result = await connection.exec_driver_sql(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM (SELECT id, published_at FROM outbox ORDER BY id LIMIT $1)"
            " AS oldest WHERE published_at < now() - make_interval(days => $2))",
            (limit, SENT_ROWS_KEPT_DAYS),
        )
        return result.rowcount

    def _unpublishable(self, row: Row[Any]) -> str | None:
        if row.topic not in self._topics:
            return "unknown topic"
        if len(row.payload) + len(row.key or b"") > RECORD_BYTES_MAX:
            return "event too large"
        return None

    async def _send(self, rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], Exception | None]]:
        """Each row with what became of it: None when acknowledged. Never raises for the broker's sake."""
        if not rows:
            return []
        producer: AIOKafkaProducer | None = None
        acknowledgements: list[asyncio.Future[Any]] = []
        failure: Exception = PublishFailed("not acknowledged in time")
        try:
            async with asyncio.timeout(ACK_SECONDS * 2):
                producer = await self._producer.get()
                for row in rows:
                    acknowledgements.append(await producer.send(row.topic, value=row.payload, key=row.key))
                await asyncio.wait(acknowledgements)
        except Exception as error:
            failure = error if not isinstance(error, TimeoutError) else failure
        outcomes = [
            (row, _outcome(acknowledgements[index], failure) if index < len(acknowledgements) else failure)
            for index, row in enumerate(rows)
        ]
        if producer is not None and any(
            outcome is not None and not isinstance(outcome, MessageSizeTooLargeError) for _, outcome in outcomes
        ):
            self._producer.replace(producer)
        return outcomes


def _outcome(acknowledgement: "asyncio.Future[Any]", when_open: Exception) -> Exception | None:
    if not acknowledgement.done():
        return when_open
    if acknowledgement.cancelled():
        return PublishFailed("cancelled")
    error = acknowledgement.exception()
    return error if isinstance(error, Exception) or error is None else PublishFailed(type(error).__name__)


async def _mark(connection: AsyncConnection, sent: Sequence[int], reasons: Mapping[int, str]) -> None:
    if sent:
        await connection.exec_driver_sql(
            "UPDATE outbox SET published_at = now() WHERE id = ANY ($1::bigint[])", (list(sent),)
        )
    if reasons:
        await connection.exec_driver_sql(
            "UPDATE outbox SET parked_reason = parked.reason"
            " FROM unnest($1::bigint[], $2::text[]) AS parked (id, reason) WHERE outbox.id = parked.id",
            (list(reasons), list(reasons.values())),
        )


class KafkaBatchPublisher:
    """Publishes many unkeyed events under one shared acknowledgement: several times cheaper than one future each."""

    def __init__(self, bootstrap_servers: str, *, ack_seconds: float = ACK_SECONDS) -> None:
        self._producer = _Producer(bootstrap_servers)
        self._ack_seconds = ack_seconds

    async def start(self) -> None:
        """Connect ahead of the first batch. Raises what aiokafka raises when the broker is away."""
        await self._producer.get()

    async def publish_batch(self, topic: str, payloads: Sequence[bytes]) -> None:
        """Return when all `payloads` are on all replicas.

        Raises PublishFailed when that did not happen within the time limit; some or all may be in the log even so,
        and the caller may publish them again (their effects have natural keys).
        """
        if not payloads:
            return
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(self._ack_seconds):
                producer = await self._producer.get()
                partitions = sorted(await producer.partitions_for(topic))
                acknowledgements = []
                remaining = list(payloads)
                while remaining:
                    batch, taken = _fill(producer, remaining)
                    partition = random.choice(partitions)  # noqa: S311 (spreads load, no secret)
                    acknowledgements.append(await producer.send_batch(batch, topic, partition=partition))
                    remaining = remaining[taken:]
                await asyncio.gather(*acknowledgements)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if producer is not None:
                self._producer.replace(producer)
            raise PublishFailed(type(error).__name__) from error

    async def stop(self) -> None:
        """Close the producer, within a few seconds."""
        await self._producer.close()


def _fill(producer: AIOKafkaProducer, payloads: Sequence[bytes]) -> tuple[Any, int]:
    batch = producer.create_batch()
    taken = 0
    for payload in payloads:
        if batch.append(key=None, value=payload, timestamp=None) is None:
            break
        taken += 1
    if taken == 0:
        raise MessageSizeTooLargeError("one event is larger than a batch")
    batch.close()
    return batch, taken
