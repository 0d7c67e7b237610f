"""The outbox as a home of clicks: committed when it says so, and left in time when it hangs."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from services.clicks.clients.click_home import OutboxClickSink
from services.clicks.clients.click_recorder import ClickRecorder, Recorded
from shared.runtime.database import Database
from shared.runtime.outbox import OutgoingEvent
from tests.conftest import TestPostgres


@pytest.fixture
async def admin(postgres: TestPostgres) -> AsyncIterator["asyncpg.Connection"]:
    postgres.migrate("clicks")
    connection = await asyncpg.connect(postgres.admin_url("tributary_clicks"))
    await connection.execute("TRUNCATE outbox")
    yield connection
    await connection.close()


@pytest.fixture
async def sink(postgres: TestPostgres, admin: object) -> AsyncIterator[OutboxClickSink]:
    database = Database(postgres.url("clicks"), role="clicks_intake", pool_size=3)
    sink = OutboxClickSink(database)
    yield sink
    await sink.close()
    await database.close()


def click() -> OutgoingEvent:
    return OutgoingEvent("clicks.v1", None, uuid4(), b"{}")


async def event_ids(admin: "asyncpg.Connection") -> list[object]:
    return [row["event_id"] for row in await admin.fetch("SELECT event_id FROM outbox ORDER BY id")]


async def test_groups_that_overlap_are_all_committed(sink: OutboxClickSink, admin: "asyncpg.Connection") -> None:
    groups = [[click() for _ in range(n)] for n in (1, 200, 30)]

    await asyncio.gather(*(sink.write(group) for group in groups))

    assert set(await event_ids(admin)) == {event.event_id for group in groups for event in group}


async def test_a_table_that_hangs_is_left_in_time_and_written_to_afterwards(
    sink: OutboxClickSink, admin: "asyncpg.Connection"
) -> None:
    recorder = ClickRecorder([sink], home_timeout_seconds=0.3, home_rest_seconds=0.1)
    await recorder.record(click())
    clicks = [click() for _ in range(5)]

    async with admin.transaction():
        await admin.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(2):
            recorded = await asyncio.gather(*(recorder.record(event) for event in clicks))
    await recorder.close()

    assert set(recorded) == {Recorded.BUFFERED}
    assert {event.event_id for event in clicks} <= set(await event_ids(admin))


async def test_backends_that_are_ended_cost_one_failed_group(
    sink: OutboxClickSink, admin: "asyncpg.Connection"
) -> None:
    await asyncio.gather(*(sink.write([click()]) for _ in range(3)))

    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'clicks_intake'"
    )
    await asyncio.sleep(0.1)
    with pytest.raises(Exception, match="connection"):
        await sink.write([click()])
    last = click()
    await sink.write([last])

    assert last.event_id in await event_ids(admin)
