"""Which log this process uses: the one place that knows both."""

from shared.contracts.topics import TOPICS
from shared.runtime.database import Database
from shared.runtime.event_log.interface import EventSource, Publisher
from shared.runtime.event_log.kafka import KafkaEventSource, KafkaPublisher
from shared.runtime.event_log.postgres import PostgresEventSource, PostgresPublisher
from shared.runtime.settings import ProcessSettings

_READER_POOL_SIZE = 2


def build_event_source(settings: ProcessSettings, topic: str) -> EventSource:
    """`topic` as the settings' log has it. Raises KeyError for a topic that topics.py does not know.

    With the embedded log it reads the outbox of the topic's producer (DATABASE_URL_<PRODUCER>) as the `_log` role.
    """
    entry = TOPICS[topic]
    if settings.broker == "kafka":
        return KafkaEventSource(settings.kafka_bootstrap_servers, topic=topic, log_id=settings.log_identity)
    database = Database(
        settings.database_url(entry.producer),
        role=f"{entry.producer}_log",
        pool_size=_READER_POOL_SIZE,
        name=f"log-{topic}",
    )
    return PostgresEventSource(database, topic=entry, log_id=settings.log_identity)


def build_publisher(settings: ProcessSettings) -> Publisher:
    """Where a relay takes its service's outbox: Kafka, or the outbox itself as the embedded log."""
    if settings.broker == "kafka":
        return KafkaPublisher(settings.kafka_bootstrap_servers, topics=TOPICS)
    return PostgresPublisher(topics=TOPICS)
