"""Fixtures of the runtime's tests: two databases with the runtime tables, and a stage per test."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import Connection, text

from deploy.local.provision import ServiceDatabase, provision
from shared.contracts.topics import Topic
from shared.runtime.database import Database
from shared.runtime.event_log.kafka import ensure_topics
from shared.runtime.schema import create_runtime_tables
from tests.conftest import TestBroker, TestPostgres, provisioned_postgres
from tests.integration.runtime.stage import Stage

PRODUCER = ServiceDatabase("clicks", "runtime_producer", "tributary_clicks")
CONSUMER = ServiceDatabase("conversions", "runtime_consumer", "tributary_conversions")


class _Operations:
    """Alembic's `op.execute` on a plain connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, sqltext: str) -> object:
        return self._connection.execute(text(sqltext))


def _create(connection: Connection, service: str) -> None:
    create_runtime_tables(_Operations(connection), service)


@pytest.fixture(scope="session")
def postgres(engine_folder: Path) -> Iterator[TestPostgres]:
    """A server of this folder's own, since a test here restarts it."""
    folder = engine_folder / "runtime"
    folder.mkdir(mode=0o711)
    with provisioned_postgres(folder) as started:
        yield started


@pytest_asyncio.fixture(scope="session")
async def runtime_databases(postgres: TestPostgres) -> tuple[str, str]:
    """URLs of the producer's and the consumer's database, with the runtime tables and a table of effects."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(provision, postgres.admin_url(), [PRODUCER, CONSUMER]).result()
    urls = []
    for place in (PRODUCER, CONSUMER):
        url = postgres.running.server.url(login=place.login, database=place.database)
        database = Database(url, role=f"{place.service}_migrate")
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.run_sync(_create, place.service)
            await connection.exec_driver_sql(
                "CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text,"
                ' partition integer, "offset" bigint, key bytea, body text)'
            )
            await connection.exec_driver_sql(f"GRANT SELECT, INSERT ON effect TO {place.service}_worker")
        await database.close()
        urls.append(url)
    return urls[0], urls[1]


@pytest_asyncio.fixture
async def stage(broker: TestBroker, runtime_databases: tuple[str, str]) -> AsyncIterator[Stage]:
    """A topic of two partitions that exists nowhere else, on the log that `broker` names."""
    topic = Topic(
        name=f"test-{uuid4().hex[:8]}.v1",
        key="letter",
        producer="clicks",
        consumers=("conversions",),
        partitions=2,
        retention_days=1,
    )
    if broker.kind == "kafka":
        await ensure_topics(broker.bootstrap_servers, {topic.name: topic})
    producer_url, consumer_url = runtime_databases
    stage = Stage(producer_url, consumer_url, broker.bootstrap_servers, broker.log_id, topic)
    yield stage
    # the next test's relay knows other topics: what this one left behind is not for it
    database = stage.producer_database()
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM outbox WHERE topic = :topic"), {"topic": topic.name})
    await database.close()
