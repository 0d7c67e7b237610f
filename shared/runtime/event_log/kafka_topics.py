"""Topics of a Kafka cluster, made as topics.py says, and the cluster's identity."""

from collections.abc import Mapping
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.contracts.topics import Topic

REPLICAS_MAX: Final = 3

_NO_ERROR: Final = 0
_TOPIC_EXISTS: Final = 36
_DAY_MS: Final = 86_400_000


class TopicNotCreated(Exception):
    """The cluster refused a topic; the text carries Kafka's error code."""


async def ensure_topics(bootstrap_servers: str, topics: Mapping[str, Topic]) -> None:
    """Create the topics that do not exist yet, on up to three replicas. Existing ones are left as they are."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        cluster = await admin.describe_cluster()
        replicas = min(REPLICAS_MAX, len(cluster["brokers"]))
        response = await admin.create_topics([_new_topic(topic, replicas) for topic in topics.values()])
        for name, code, *_ in response.topic_errors:
            if code not in (_NO_ERROR, _TOPIC_EXISTS):
                raise TopicNotCreated(f"topic {name}: Kafka error {code}")
    finally:
        await admin.close()


async def find_cluster_id(bootstrap_servers: str) -> str:
    """The id that the cluster got when it was made: the identity of the log."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()


def _new_topic(topic: Topic, replicas: int) -> NewTopic:
    configuration = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "retention.ms": "-1" if topic.retention_days is None else str(topic.retention_days * _DAY_MS),
        "min.insync.replicas": str(max(1, replicas - 1)),
    }
    return NewTopic(topic.name, topic.partitions, replicas, topic_configs=configuration)
