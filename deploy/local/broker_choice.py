"""Which event log a network lives on, decided at its first start and kept: positions mean nothing in another."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.local.kafka import KafkaNode
from deploy.local.kafka_install import KafkaUnavailable
from deploy.local.problem import PlainProblem

EMBEDDED = "embedded"
CHOICES = ("auto", "kafka", EMBEDDED)


@dataclass(frozen=True, slots=True)
class BrokerChoice:
    """kind: what processes get as BROKER. node: the Kafka of our own to run, or None. reason: said to the user."""

    kind: Literal["kafka", "embedded"]
    log_id: str
    node: KafkaNode | None = None
    bootstrap_servers: str = ""
    reason: str = ""


def choose_broker(
    *,
    asked: str,
    outside_servers: str,
    remembered: Path,
    build_node: Callable[[], KafkaNode],
    find_cluster_id: Callable[[str], str],
) -> BrokerChoice:
    """Settle the log and remember its identity in the file `remembered`.

    asked: `auto`, `kafka` or `embedded`. outside_servers: KAFKA_BOOTSTRAP_SERVERS, or empty to run our own node.
    build_node may download Kafka and raises KafkaUnavailable where it cannot run; find_cluster_id asks outside servers.
    Raises: PlainProblem when another log is asked for than the network lives on.
    """
    if asked not in CHOICES:
        raise PlainProblem(f"BROKER={asked} is not known.", f"Use one of: {', '.join(CHOICES)}.")
    if outside_servers and asked == EMBEDDED:
        raise PlainProblem("BROKER=embedded and KAFKA_BOOTSTRAP_SERVERS contradict each other.", "Unset one of them.")
    identity = remembered.read_text().strip() if remembered.exists() else ""
    if identity:
        _refuse_change(asked=asked, outside_servers=outside_servers, identity=identity)
    choice = _choose(
        asked if not identity else ("embedded" if identity == EMBEDDED else "kafka"),
        outside_servers=outside_servers,
        build_node=build_node,
        find_cluster_id=find_cluster_id,
    )
    if identity and choice.log_id != identity:
        raise PlainProblem(
            f"This network lives on the Kafka cluster {identity}; the one given is {choice.log_id}.",
            "Give the same cluster, or start another network with TRIBUTARY_HOME=<folder>.",
        )
    if not identity:
        remembered.write_text(f"{choice.log_id}\n")
    return choice


def _refuse_change(*, asked: str, outside_servers: str, identity: str) -> None:
    is_embedded = identity == EMBEDDED
    wants_kafka = asked == "kafka" or bool(outside_servers)
    if (is_embedded and wants_kafka) or (not is_embedded and asked == EMBEDDED):
        now = "the embedded log" if is_embedded else f"Apache Kafka (cluster {identity})"
        raise PlainProblem(
            f"This network lives on {now}: its history and every consumer's position are there.",
            f"Go on with it (BROKER=auto), start another network beside it (TRIBUTARY_HOME=<folder> BROKER={asked}), "
            "or delete this one (make clean).",
        )


def _choose(
    asked: str, *, outside_servers: str, build_node: Callable[[], KafkaNode], find_cluster_id: Callable[[str], str]
) -> BrokerChoice:
    if outside_servers:
        return BrokerChoice(
            "kafka", find_cluster_id(outside_servers), bootstrap_servers=outside_servers, reason="Apache Kafka, outside"
        )
    if asked == EMBEDDED:
        return BrokerChoice("embedded", EMBEDDED, reason="the embedded log in PostgreSQL")
    try:
        node = build_node()
    except KafkaUnavailable as unavailable:
        if asked == "kafka":
            raise
        return BrokerChoice("embedded", EMBEDDED, reason=f"the embedded log in PostgreSQL ({unavailable.what})")
    return BrokerChoice(
        "kafka", node.cluster_id, node=node, bootstrap_servers=node.bootstrap_servers, reason="Apache Kafka"
    )
