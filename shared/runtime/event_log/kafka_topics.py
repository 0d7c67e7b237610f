"""Topics of a Kafka cluster, made as topics.py says, and the cluster's identity."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts.topics import Topic

REPLICAS_MAX: Final = 3

_NO_ERROR: Final = 0
_TOPIC_EXISTS: Final = 36
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """One topic as a cluster has it. retention_ms: -1 keeps events for ever. in_sync_min: replicas an ack waits for."""

    name: str
    partitions: int
    replicas: int
    retention_ms: int
    compacted: bool
    in_sync_min: int


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


async def find_topics(bootstrap_servers: str, topics: Mapping[str, Topic]) -> dict[str, FoundTopic]:
    """Those of `topics` that the cluster has, by name. Nothing is created by asking."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        names = sorted(set(await admin.list_topics()) & set(topics))
        if not names:
            return {}
        described = await admin.describe_topics(names)
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    finally:
        await admin.close()
    settings = {name: _settings_of(entries) for answer in answers for *_, name, entries in answer.resources}
    return {found["topic"]: _found(found, settings[found["topic"]]) for found in described}


def difference(wanted: Topic, found: FoundTopic) -> str:
    """How a topic is not as topics.py says, "" where it is. Replicas are the cluster's own affair."""
    retention_ms = _retention_ms(wanted)
    said = [
        f"{found.partitions} partitions, not {wanted.partitions}" if found.partitions != wanted.partitions else "",
        f"retention.ms {found.retention_ms}, not {retention_ms}" if found.retention_ms != retention_ms else "",
        f"cleanup.policy {_policy(found.compacted)}, not {_policy(wanted.compacted)}"
        if found.compacted != wanted.compacted
        else "",
    ]
    return "; ".join(filter(None, said))


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
        "cleanup.policy": _policy(topic.compacted),
        "retention.ms": str(_retention_ms(topic)),
        "min.insync.replicas": str(max(1, replicas - 1)),
    }
    return NewTopic(topic.name, topic.partitions, replicas, topic_configs=configuration)


def _policy(is_compacted: bool) -> str:
    return "compact" if is_compacted else "delete"


def _retention_ms(topic: Topic) -> int:
    return -1 if topic.retention_days is None else topic.retention_days * _DAY_MS


def _settings_of(entries: Any) -> dict[str, str]:
    return {entry[0]: entry[1] for entry in entries}


def _found(described: Mapping[str, Any], settings: Mapping[str, str]) -> FoundTopic:
    partitions = described["partitions"]
    return FoundTopic(
        name=described["topic"],
        partitions=len(partitions),
        replicas=min((len(partition["replicas"]) for partition in partitions), default=0),
        retention_ms=int(settings["retention.ms"]),
        compacted=settings["cleanup.policy"] == "compact",
        in_sync_min=int(settings["min.insync.replicas"]),
    )
