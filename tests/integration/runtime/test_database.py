"""Transactions, tenants, the outbox's grants, and the projection of a compacted topic."""

import asyncio
import contextlib

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.contracts.events import EventUndecodable
from shared.runtime.consumer import Received
from shared.runtime.database import Database, Tenant
from shared.runtime.event_log.kafka import KafkaBatchPublisher
from shared.runtime.projection import ProjectionFollower, apply_projection, rewind_projection
from tests.conftest import TestPostgres
from tests.integration.runtime.stage import Stage, until


async def test_tenant_is_visible_inside_its_transaction_only(runtime_databases: tuple[str, str]) -> None:
    database = Database(runtime_databases[0], role="clicks_api", pool_size=1)
    query = text("SELECT current_setting('app.merchant_id', true), current_setting('app.affiliate_id', true)")

    async with database.transaction(tenant=Tenant(merchant_id=7)) as session:
        assert tuple((await session.execute(query)).one()) == ("7", "")
    async with database.transaction(tenant=Tenant(affiliate_id=9)) as session:
        assert tuple((await session.execute(query)).one()) == ("", "9")
    async with database.transaction() as session:
        assert set((await session.execute(query)).one()) <= {"", None}
    await database.close()


async def test_what_raises_rolls_back(runtime_databases: tuple[str, str]) -> None:
    database = Database(runtime_databases[1], role="conversions_worker")

    async def insert_and_fail() -> None:
        async with database.transaction() as session:
            await session.execute(text("INSERT INTO effect (topic) VALUES ('rolled back')"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await insert_and_fail()
    async with database.transaction() as session:
        assert (await session.execute(text("SELECT 1 FROM effect WHERE topic = 'rolled back'"))).first() is None
    await database.close()


async def test_api_role_may_only_insert_into_the_outbox(runtime_databases: tuple[str, str]) -> None:
    database = Database(runtime_databases[0], role="clicks_api")
    for statement in ("SELECT 1 FROM outbox", "DELETE FROM outbox", "SELECT 1 FROM position"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with database.transaction() as session:
                await session.execute(text(statement))
    await database.close()


async def test_transaction_after_a_kill_of_postgres_works(mortal_postgres: TestPostgres) -> None:
    database = Database(mortal_postgres.url("conversions"), role="conversions_worker", pool_size=3)

    async def ask() -> int:
        async with database.transaction() as session:
            await session.execute(text("SELECT pg_sleep(0.05)"))
            return int((await session.execute(text("SELECT 1"))).scalar_one())

    await asyncio.gather(ask(), ask(), ask())
    await asyncio.to_thread(mortal_postgres.kill9)
    with contextlib.suppress(DBAPIError):
        await ask()
    assert list(await asyncio.gather(ask(), ask(), ask())) == [1, 1, 1]
    await database.close()


async def test_a_connection_that_the_server_closed_meanwhile_costs_nobody_an_error(
    mortal_postgres: TestPostgres,
) -> None:
    database = Database(mortal_postgres.url("conversions"), role="conversions_worker", pool_size=3)

    async def ask() -> int:
        async with database.transaction() as session:
            await session.execute(text("SELECT pg_sleep(0.05)"))
            return int((await session.execute(text("SELECT 1"))).scalar_one())

    await asyncio.gather(ask(), ask(), ask())
    await asyncio.to_thread(mortal_postgres.restart)

    assert list(await asyncio.gather(ask(), ask(), ask())) == [1, 1, 1]
    async with database.reading() as connection:
        assert (await connection.exec_driver_sql("SELECT 1")).scalar_one() == 1
    await database.close()


def _catalogue(offset: int, key: str, name: str) -> Received:
    return Received("catalogue.v1", 0, offset, key.encode(), b'{"type":"OfferChangedV1","name":"%s"}' % name.encode())


async def test_projection_keeps_the_last_event_of_a_key_and_followers_see_it(
    runtime_databases: tuple[str, str],
) -> None:
    database = Database(runtime_databases[1], role="conversions_worker")
    memory: dict[str, bytes] = {}
    follower = ProjectionFollower(database, memory.__setitem__, poll_seconds=0.02)
    async with database.transaction() as session:
        await apply_projection(session, [_catalogue(1, "offer:1", "old"), _catalogue(2, "offer:1", "new")])
    await follower.load()
    assert b"new" in memory["offer:1"]

    work = asyncio.create_task(follower.run())
    async with database.transaction() as session:
        await apply_projection(session, [_catalogue(1, "offer:1", "old"), _catalogue(3, "offer:2", "second")])
    await until(lambda: _knows(memory, "offer:2", b"second"), 5)
    assert b"new" in memory["offer:1"]

    async with database.transaction() as session:
        await rewind_projection(session)
        await apply_projection(session, [_catalogue(0, "offer:1", "other log")])
    await until(lambda: _knows(memory, "offer:1", b"other log"), 5)
    follower.stop()
    await work
    await database.close()


async def test_followers_see_a_dead_letter_that_is_replayed_behind_them(runtime_databases: tuple[str, str]) -> None:
    database = Database(runtime_databases[1], role="conversions_worker")
    memory: dict[str, bytes] = {}
    follower = ProjectionFollower(database, memory.__setitem__, poll_seconds=0.02, recount_seconds=0.1)
    async with database.transaction() as session:
        await apply_projection(session, [_catalogue(1_000, "offer:11", "active"), _catalogue(1_009, "offer:12", "x")])
    work = asyncio.create_task(follower.run())
    await until(lambda: _knows(memory, "offer:12", b"x"), 5)

    async with database.transaction() as session:
        await apply_projection(session, [_catalogue(1_003, "offer:13", "new")])
        await apply_projection(session, [_catalogue(1_004, "offer:11", "paused")])

    await until(lambda: _knows(memory, "offer:13", b"new"), 5)
    await until(lambda: _knows(memory, "offer:11", b"paused"), 5)
    memory.clear()
    await asyncio.sleep(0.3)
    assert not memory, "what has been seen is not handed over again"
    follower.stop()
    await work
    await database.close()


async def test_projection_refuses_what_has_no_key_or_type(runtime_databases: tuple[str, str]) -> None:
    database = Database(runtime_databases[1], role="conversions_worker")
    for received in (Received("t", 0, 0, None, b'{"type":"x"}'), Received("t", 0, 0, b"k", b"{}")):
        with pytest.raises(EventUndecodable):
            async with database.transaction() as session:
                await apply_projection(session, [received])
    await database.close()


async def test_batch_publisher_shares_one_acknowledgement(stage: Stage) -> None:
    if not stage.is_kafka:
        pytest.skip("Kafka only")
    publisher = KafkaBatchPublisher(stage.bootstrap_servers)
    await publisher.start()
    await publisher.publish_batch(stage.topic.name, [b"%d" % number for number in range(500)])
    await publisher.stop()

    async with stage.consuming(batch_size=500):
        await until(lambda: _count(stage, 500))

    assert sorted(await stage.bodies(), key=int) == [str(number) for number in range(500)]


async def _knows(memory: dict[str, bytes], key: str, words: bytes) -> bool:
    return words in memory.get(key, b"")


async def _count(stage: Stage, count: int) -> bool:
    return len(await stage.effects()) >= count
