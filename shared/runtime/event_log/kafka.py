"""Reading from Kafka, with the positions in PostgreSQL as the only truth."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.runtime.event_log.arrivals import Arrivals
from shared.runtime.event_log.interface import (
    LAG_WAIT_SECONDS,
    Batch,
    Lag,
    LogIdentityMismatch,
    PositionOutOfRange,
    Received,
)
from shared.runtime.event_log.kafka_publisher import KafkaBatchPublisher, KafkaPublisher, PublishFailed
from shared.runtime.event_log.kafka_topics import ensure_topics, find_cluster_id
from shared.runtime.event_log.positions import Positions
from shared.runtime.logging import get_logger

__all__ = [
    "KafkaBatchPublisher",
    "KafkaEventSource",
    "KafkaPublisher",
    "PublishFailed",
    "ensure_topics",
    "find_cluster_id",
]

FETCH_WAIT_MS: Final = 200
SESSION_TIMEOUT_MS: Final = 10_000
REVOKE_WAIT_SECONDS: Final = 8.0
"""How long a rebalance waits for the batch in hand; under the session timeout. The fence covers what takes longer."""

REPORT_EVERY_SECONDS: Final = 1.0
"""How often positions are committed to Kafka, where only lag monitors read them."""

_log = get_logger(__name__)


class KafkaEventSource:
    """One member of the consumer's group. Partitions come from Kafka, positions from PostgreSQL.

    aiokafka swallows what a rebalance listener raises and may hand out records before it returns; so the listener
    only takes notes, and `fetch` seeks each new partition itself and discards records of those not seeked yet.
    """

    def __init__(
        self, bootstrap_servers: str, *, topic: str, log_id: str, session_timeout_ms: int = SESSION_TIMEOUT_MS
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._log_id = log_id
        self._session_timeout_ms = session_timeout_ms
        self._consumer: AIOKafkaConsumer | None = None
        self._positions: Positions | None = None
        self._generation = 0
        self._next: dict[int, int] = {}
        self._waiting: list[Batch] = []
        self._to_report: dict[int, int] = {}
        self._next_report = 0.0
        self._arrivals = Arrivals()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def log_id(self) -> str:
        """The id of the Kafka cluster."""
        return self._log_id

    async def start(self, positions: Positions) -> None:
        """Join the group. Raises LogIdentityMismatch when the cluster is not the one that LOG_ID names."""
        found = await find_cluster_id(self._bootstrap_servers)
        if found != self._log_id:
            raise LogIdentityMismatch(
                f"LOG_ID is {self._log_id}, but the cluster at KAFKA_BOOTSTRAP_SERVERS is {found}: connect to the"
                " first cluster again, or move on deliberately: set LOG_ID, reset the consumers' positions, replay"
            )
        self._positions = positions
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            group_id=positions.consumer,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=self._session_timeout_ms,
            heartbeat_interval_ms=self._session_timeout_ms // 4,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        self._consumer = consumer
        consumer.subscribe([self._topic], listener=_Listener(self))
        await consumer.start()

    async def stop(self) -> None:
        """Report the positions and leave the group, so that others take over at once."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        self._forget()
        try:
            await self._report(consumer)
        finally:
            await consumer.stop()
            self._to_report.clear()

    async def fetch(self, limit: int) -> Batch | None:
        """The next events of an assigned partition whose position is known; None after a short wait."""
        consumer = self._consumer
        assert consumer is not None, "start first"
        await self._seek_new(consumer)
        if time.monotonic() >= self._next_report:
            await self._report(consumer)
        if not self._waiting:
            generation = self._generation
            fetched = await self._get_many(consumer, limit)
            if generation == self._generation:
                self._waiting = [batch for tp, records in fetched if (batch := self._batch(tp.partition, records))]
        if not self._waiting:
            return None
        self._idle.clear()
        return self._waiting.pop(0)

    async def committed(self, batch: Batch) -> None:
        """Go on after `batch`."""
        if batch.partition in self._next:
            self._next[batch.partition] = batch.end_offset
            self._to_report[batch.partition] = batch.end_offset
        self._idle.set()

    async def abandoned(self, batch: Batch) -> None:
        """Read the partition's position again and seek before anything more of it."""
        self._next.pop(batch.partition, None)
        self._waiting = [waiting for waiting in self._waiting if waiting.partition != batch.partition]
        self._idle.set()

    async def recheck(self) -> None:
        """Seek again, with the next fetch, each partition whose position is not where we left it.

        Partitions with fetched batches waiting are further on in memory; their fence tells.
        """
        assert self._positions is not None, "start first"
        ahead = {batch.partition for batch in self._waiting}
        stored = await self._positions.find_all()
        moved = [p for p, at in self._next.items() if p not in ahead and stored.get(p) != at]
        for partition in moved:
            self._next.pop(partition, None)

    async def measure_lag(self, stored: Mapping[int, int]) -> dict[int, Lag]:
        """The lag of the partitions that are assigned to this member."""
        consumer = self._consumer
        assert consumer is not None, "start first"
        async with asyncio.timeout(LAG_WAIT_SECONDS):
            ends = await consumer.end_offsets(list(consumer.assignment()))
        lags = {}
        for tp, end in ends.items():
            records = max(0, end - stored.get(tp.partition, 0))
            age = self._arrivals.age_seconds(tp.partition, stored.get(tp.partition, 0), is_behind=records > 0)
            lags[tp.partition] = Lag(records, age)
        return lags

    async def revoked(self) -> None:
        """Called in a rebalance: let the batch in hand finish, then know nothing."""
        try:
            async with asyncio.timeout(REVOKE_WAIT_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("revoked_with_batch_in_hand", topic=self._topic)
        if self._consumer is not None:
            await self._report(self._consumer)
        self._forget()

    def _forget(self) -> None:
        self._generation += 1
        self._next.clear()
        self._waiting.clear()
        self._arrivals.forget()
        self._idle.set()

    async def _seek_new(self, consumer: AIOKafkaConsumer) -> None:
        generation = self._generation
        new = [tp for tp in consumer.assignment() if tp.partition not in self._next]
        if not new:
            return
        beginnings = await consumer.beginning_offsets(new)
        ends = await consumer.end_offsets(new)
        for tp in new:
            position = await self._position(tp, beginnings[tp], ends[tp])
            if generation != self._generation:
                return
            try:
                consumer.seek(tp, position)
            except IllegalStateError:
                return  # revoked meanwhile
            self._next[tp.partition] = position

    async def _position(self, tp: TopicPartition, beginning: int, end: int) -> int:
        assert self._positions is not None, "start first"
        stored = await self._positions.find(tp.partition)
        if stored is None:
            return await self._positions.begin(tp.partition, beginning)
        if not beginning <= stored <= end:
            raise PositionOutOfRange(
                f"{tp.topic}/{tp.partition}: position {stored} is outside the log ({beginning} to {end}): events were"
                " deleted before they were read, or the log lost its end. Restore them, or reset the consumer's"
                " positions and replay"
            )
        return stored

    async def _get_many(self, consumer: AIOKafkaConsumer, limit: int) -> Iterable[tuple[TopicPartition, Sequence[Any]]]:
        try:
            fetched: dict[TopicPartition, Sequence[Any]] = await consumer.getmany(
                timeout_ms=FETCH_WAIT_MS, max_records=limit
            )
        except NoOffsetForPartitionError:
            return ()  # a partition that came while we waited; the next fetch seeks it
        except OffsetOutOfRangeError as error:
            raise PositionOutOfRange(
                f"{self._topic}: the log no longer has the stored position ({error}): restore the events, or reset the"
                " consumer's positions and replay"
            ) from error
        return fetched.items()

    def _batch(self, partition: int, records: Sequence[Any]) -> Batch | None:
        expected = self._next.get(partition)
        if expected is None or not records:
            return None
        if records[0].offset < expected:
            self._next.pop(partition)  # fetched before our seek: seek again
            return None
        received = tuple(
            Received(self._topic, partition, record.offset, record.key, record.value or b"") for record in records
        )
        self._next[partition] = received[-1].offset + 1
        self._arrivals.fetched(partition, records[0].offset, records[0].timestamp / 1000)
        return Batch(partition, expected, received[-1].offset + 1, received)

    async def _report(self, consumer: AIOKafkaConsumer) -> None:
        self._next_report = time.monotonic() + REPORT_EVERY_SECONDS
        assigned = {tp.partition for tp in consumer.assignment()}
        offsets = {TopicPartition(self._topic, p): offset for p, offset in self._to_report.items() if p in assigned}
        self._to_report.clear()
        if not offsets:
            return
        try:
            async with asyncio.timeout(REPORT_EVERY_SECONDS):
                await consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            _log.debug("position_not_reported", topic=self._topic, error=type(error).__name__)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Takes notes for the source; never raises, since aiokafka would swallow it."""

    def __init__(self, source: KafkaEventSource) -> None:
        self._source = source

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._source.revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing: `fetch` finds the new partitions by itself."""
