"""The two homes where a click becomes durable: the outbox in PostgreSQL, and Kafka."""

from collections.abc import Sequence
from typing import Protocol

from shared.contracts.topics import CLICKS
from shared.runtime.database import Database
from shared.runtime.event_log.kafka_publisher import KafkaBatchPublisher
from shared.runtime.failpoint import failpoint
from shared.runtime.outbox import OutgoingEvent
from shared.runtime.outbox_line import OutboxLine
from shared.runtime.tracing import batch_span


class ClickSink(Protocol):
    """One home. `name` is for logs and metrics."""

    name: str

    async def write(self, clicks: Sequence[OutgoingEvent]) -> None:
        """Make all of them durable, in one go. Raises whatever went wrong; then none may be taken as durable."""
        ...


class OutboxClickSink:
    """Commits a group of clicks to the outbox in one transaction; the relay takes them to the log."""

    name = "outbox"

    def __init__(self, database: Database) -> None:
        self._line = OutboxLine(database)

    async def write(self, clicks: Sequence[OutgoingEvent]) -> None:
        """Commit them. Idempotence is the click log's: a group written twice is one click each, by click ID."""
        await self._line.append(clicks)
        failpoint("click.after_outbox")

    async def close(self) -> None:
        """Give its connections back."""
        await self._line.close()


class KafkaClickSink:
    """Sends a group of clicks straight to Kafka and waits for the one acknowledgement of all of them."""

    name = "kafka"

    def __init__(self, publisher: KafkaBatchPublisher) -> None:
        self._publisher = publisher

    async def write(self, clicks: Sequence[OutgoingEvent]) -> None:
        """Publish them. Without an acknowledgement they may be in the log even so: the click log knows by click ID."""
        failpoint("click.before_produce")
        payloads = [click.payload for click in clicks]
        with batch_span(f"publish {CLICKS}", "producer", payloads):
            await self._publisher.publish_batch(CLICKS, payloads)
        failpoint("click.after_produce")
