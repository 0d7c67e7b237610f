"""PostgreSQL and Kafka under our own supervision: what was acknowledged is there after kill -9."""

import asyncpg
import pytest

from tests.conftest import TestBroker, TestKafka, TestPostgres


async def test_committed_row_survives_kill_9_of_postgres(mortal_postgres: TestPostgres) -> None:
    connection = await asyncpg.connect(mortal_postgres.admin_url())
    await connection.execute("CREATE TABLE kept (number int); INSERT INTO kept VALUES (7)")
    await connection.close()

    mortal_postgres.kill9()

    connection = await asyncpg.connect(mortal_postgres.admin_url())
    assert await connection.fetchval("SELECT number FROM kept") == 7
    await connection.execute("DROP TABLE kept")
    await connection.close()


async def test_login_becomes_its_own_roles_only(postgres: TestPostgres) -> None:
    connection = await asyncpg.connect(postgres.url("clicks"), server_settings={"role": "clicks_api"})

    assert await connection.fetchval("SELECT current_user") == "clicks_api"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SET ROLE conversions_api")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CREATE TABLE forbidden (number int)")
    await connection.close()


async def test_log_reader_reaches_another_services_database_as_log_role_only(postgres: TestPostgres) -> None:
    url = postgres.url("commissions", database_of="conversions")
    connection = await asyncpg.connect(url, server_settings={"role": "conversions_log"})

    assert await connection.fetchval("SELECT current_database()") == "tributary_conversions"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SET ROLE conversions_worker")
    await connection.close()


def test_broker_says_which_log_it_is(broker: TestBroker) -> None:
    assert (broker.kind == "kafka") == bool(broker.bootstrap_servers)
    assert broker.log_id


@pytest.mark.kafka
def test_kafka_keeps_its_identity_through_kill_9(kafka: TestKafka) -> None:
    before = (kafka.log_id, kafka.bootstrap_servers)

    kafka.kill9()

    assert (kafka.log_id, kafka.bootstrap_servers) == before
    assert kafka.running.node.is_ready()
