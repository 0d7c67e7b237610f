"""What we ask of a Kafka cluster before any process starts: its identity, and that our topics exist."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka.errors import KafkaError

from deploy.local.problem import PlainProblem
from shared.contracts.topics import TOPICS

if TYPE_CHECKING:
    from shared.runtime.event_log.kafka_topics import FoundTopic

Result = TypeVar("Result")
TIMEOUT_SECONDS = 30.0


def find_cluster_id(bootstrap_servers: str) -> str:
    """The cluster's id, which consumers store with their positions. Raises: PlainProblem when nothing answers."""
    return _ask(bootstrap_servers, lambda: _cluster_id(bootstrap_servers))


def create_topics(bootstrap_servers: str) -> None:
    """Create the topics of topics.py that are missing. Idempotent."""
    from shared.runtime.event_log.kafka_topics import ensure_topics  # slow, and the embedded log never needs it

    _ask(bootstrap_servers, lambda: ensure_topics(bootstrap_servers, TOPICS))


def find_topics(bootstrap_servers: str) -> "dict[str, FoundTopic]":
    """The topics of topics.py that the cluster has, by name. Raises: PlainProblem when nothing answers."""
    from shared.runtime.event_log import kafka_topics

    return _ask(bootstrap_servers, lambda: kafka_topics.find_topics(bootstrap_servers, TOPICS))


def _ask(bootstrap_servers: str, act: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    async def within_time() -> Result:
        return await asyncio.wait_for(act(), TIMEOUT_SECONDS)

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        try:
            return runner.run(within_time())
        except (KafkaError, OSError, TimeoutError) as error:
            raise PlainProblem(
                f"No Kafka broker answers at {bootstrap_servers}.", f"{type(error).__name__}: {error}"
            ) from error


async def _cluster_id(bootstrap_servers: str) -> str:
    from aiokafka.admin import AIOKafkaAdminClient  # slow, and only outside clusters need it

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        description = await admin.describe_cluster()
        return str(description["cluster_id"])
    finally:
        await admin.close()
