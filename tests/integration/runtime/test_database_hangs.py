"""A PostgreSQL that hangs, as if the network swallowed every packet: each wait ends, and nothing is read twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from shared.runtime.database import Database, after_commit, is_connection_lost, is_unavailable
from shared.runtime.database_timeout import DatabaseUnanswered, command_timeout_seconds
from shared.runtime.projection import ProjectionFollower
from tests.conftest import TestPostgres

LONG_SECONDS = 20
"""Far beyond every limit of these tests, and far below for ever."""


@pytest.fixture
async def database(mortal_postgres: TestPostgres) -> AsyncIterator[Database]:
    opened = Database(
        mortal_postgres.migrate("conversions"), role="conversions_worker", pool_size=3, statement_timeout_ms=100
    )
    yield opened
    await opened.close()


@asynccontextmanager
async def frozen(postgres: TestPostgres) -> AsyncIterator[None]:
    postgres.freeze()
    try:
        async with asyncio.timeout(LONG_SECONDS):
            yield
    finally:
        postgres.thaw()


async def ask(database: Database, number: int) -> int:
    async with database.transaction() as session:
        return int((await session.execute(text("SELECT :number ::int"), {"number": number})).scalar_one())


async def test_every_wait_ends_and_afterwards_everybody_gets_their_own_answer(
    database: Database, mortal_postgres: TestPostgres
) -> None:
    assert await asyncio.gather(*(ask(database, number) for number in range(3))) == [0, 1, 2]
    async with frozen(mortal_postgres):
        outcomes: list[Any] = await asyncio.gather(
            *(ask(database, number) for number in range(10, 16)), return_exceptions=True
        )
    assert all(isinstance(outcome, DatabaseUnanswered) for outcome in outcomes), outcomes
    assert all(is_connection_lost(outcome) and is_unavailable(outcome) for outcome in outcomes)
    assert database.connections_in_use == 0
    assert await asyncio.gather(*(ask(database, number) for number in range(20, 29))) == list(range(20, 29))


async def test_a_commit_that_is_not_answered_is_unknown_and_never_a_success(
    database: Database, mortal_postgres: TestPostgres
) -> None:
    committed: list[int] = []

    async def commit_into_silence() -> None:
        async with database.transaction() as session:
            await session.execute(text("SELECT 1"))
            after_commit(session, lambda: committed.append(1))
            mortal_postgres.freeze()

    with pytest.raises(DatabaseUnanswered):
        await asyncio.wait_for(commit_into_silence(), LONG_SECONDS)
    mortal_postgres.thaw()
    assert committed == []
    assert await ask(database, 7) == 7


async def test_closing_does_not_wait_for_a_server_that_hangs(database: Database, mortal_postgres: TestPostgres) -> None:
    await asyncio.gather(*(ask(database, number) for number in range(3)))
    async with frozen(mortal_postgres):
        await database.close()


async def test_a_slow_statement_is_ended_by_the_server_and_its_connection_stays(database: Database) -> None:
    async def backend() -> int:
        async with database.reading() as connection:
            return int((await connection.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one())

    before = await backend()
    with pytest.raises(Exception, match="statement timeout") as slow:
        async with database.reading() as connection:
            await connection.exec_driver_sql("SELECT pg_sleep(5)")
    assert is_unavailable(slow.value)
    assert not is_connection_lost(slow.value)
    assert await backend() == before


async def test_a_look_ends_within_its_own_time(database: Database, mortal_postgres: TestPostgres) -> None:
    patient = Database(mortal_postgres.url("conversions"), role="conversions_worker", pool_size=1)
    async with patient.reading(within_seconds=0.2) as connection:
        await connection.exec_driver_sql("SELECT 1")
    async with frozen(mortal_postgres):
        with pytest.raises(DatabaseUnanswered):
            async with patient.reading(within_seconds=0.2) as connection:
                await connection.exec_driver_sql("SELECT 1")
    async with patient.reading(within_seconds=LONG_SECONDS) as connection:
        assert (await connection.exec_driver_sql("SELECT 5")).scalar_one() == 5
    await patient.close()


async def test_a_follower_says_so_and_then_goes_on(database: Database, mortal_postgres: TestPostgres) -> None:
    follower = ProjectionFollower(database, lambda _key, _payload: None, poll_seconds=0.02)
    work = asyncio.create_task(follower.run())
    await _until_health(follower, bad=False)
    async with frozen(mortal_postgres):
        await _until_health(follower, bad=True)
    await _until_health(follower, bad=False)
    follower.stop()
    await work


async def _until_health(follower: ProjectionFollower, *, bad: bool) -> None:
    async with asyncio.timeout(LONG_SECONDS):
        while not follower.is_loaded or ((await follower.health() is not None) is not bad):
            await asyncio.sleep(0.02)


def test_the_client_waits_longer_than_the_server_works_and_never_without_end() -> None:
    assert (command_timeout_seconds(1_000) or 0) > 1
    assert command_timeout_seconds(0) is None
