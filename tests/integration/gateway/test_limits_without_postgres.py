"""What the limiter does between processes, when one dies, when PostgreSQL is away, and what it leaves behind."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from shared.kernel.token_bucket import Limit
from shared.runtime.clock import SystemClock
from shared.runtime.database import Database
from shared.runtime.rate_limit.limiter import COUNT_EVERY_SECONDS, LeaseDesk, Limiter
from shared.runtime.rate_limit.share import LEASE_SECONDS
from shared.runtime.rate_limit.store import Ask, forget_quiet_buckets, lease_tokens
from tests.conftest import TestPostgres
from tests.integration.gateway.granted import Passed, worst_stretch

LIMIT = Limit(tokens_per_second=200, burst=400)


@pytest.fixture
def postgres(mortal_postgres: TestPostgres) -> TestPostgres:
    """A server of this module's own, since its tests stop it."""
    mortal_postgres.migrate("gateway")
    return mortal_postgres


@asynccontextmanager
async def desk(postgres: TestPostgres) -> AsyncIterator[LeaseDesk]:
    """What one process has of the limiter, running; leaves in an orderly way."""
    database = Database(postgres.url("gateway"), role="gateway_intake", pool_size=2)
    opened = LeaseDesk(database)
    running = asyncio.create_task(opened.run())
    try:
        yield opened
    finally:
        opened.stop()
        await running
        await opened.close()
        await database.close()


@asynccontextmanager
async def desks(postgres: TestPostgres) -> AsyncIterator[list[LeaseDesk]]:
    """Four processes' worth."""
    async with desk(postgres) as one, desk(postgres) as two, desk(postgres) as three, desk(postgres) as four:
        opened = [one, two, three, four]
        await asyncio.sleep(2 * COUNT_EVERY_SECONDS)  # all have counted all
        assert {each.processes for each in opened} <= {4, 5}, "a process that has just died may still be counted"
        yield opened


async def test_one_call_leases_for_many_callers_each_its_own_answer(postgres: TestPostgres) -> None:
    """Callers who ask in the same moment share a call, and nobody hears what was granted to another one."""
    names = sorted(f"many-{number}-{uuid4()}" for number in range(12))
    asks = [Ask(policy="key", caller=name, limit=LIMIT, wanted=number + 1) for number, name in enumerate(names)]
    database = Database(postgres.url("gateway"), role="gateway_intake", pool_size=1)
    try:
        grants = await lease_tokens(database, uuid4(), asks, life_seconds=LEASE_SECONDS)
    finally:
        await database.close()

    assert [grant.granted for grant in grants] == [ask.wanted for ask in asks]
    assert [grant.tokens_left for grant in grants] == [LIMIT.burst - ask.wanted for ask in asks]


async def rows(postgres: TestPostgres, caller: str) -> "list[asyncpg.Record]":
    """The bucket of a caller, as the superuser sees it."""
    connection = await asyncpg.connect(postgres.admin_url("tributary_gateway"))
    try:
        return list(await connection.fetch("SELECT * FROM limit_bucket WHERE caller = $1", caller))
    finally:
        await connection.close()


async def take_all(limiters: list[Limiter], caller: str, seconds: float) -> list[Passed]:
    """Ask every limiter as often as it goes, a thousand times a second and more."""
    passed: list[Passed] = []
    until = time.monotonic() + seconds

    async def one(limiter: Limiter) -> None:
        while time.monotonic() < until:
            sent_at = time.monotonic()
            if (await limiter.take(caller)).is_allowed:
                passed.append(Passed(sent_at, time.monotonic()))
            await asyncio.sleep(0.002)

    await asyncio.gather(*(one(limiter) for limiter in limiters for _ in range(2)))
    return passed


async def test_a_burst_after_a_rest_is_shared_exactly(postgres: TestPostgres) -> None:
    async with desks(postgres) as opened:
        limiters = [Limiter("test", LIMIT, one) for one in opened]

        passed = await take_all(limiters, "busy", 2.0)

    assert worst_stretch(passed, LIMIT) <= 1.0 + 1e-9
    assert len(passed) >= 0.95 * LIMIT.burst


async def test_tokens_that_lie_idle_go_back_for_others(postgres: TestPostgres) -> None:
    tight = Limit(tokens_per_second=0.01, burst=800)
    async with desk(postgres) as first, desk(postgres) as second:
        assert (await Limiter("test", tight, first).take("quiet")).is_allowed
        await asyncio.sleep(1.5)

        other = Limiter("test", tight, second)
        allowed = [(await other.take("quiet")).is_allowed for _ in range(tight.burst)]

    assert sum(allowed) == tight.burst - 1


async def test_tokens_of_a_process_that_died_come_back_when_their_lease_ends(postgres: TestPostgres) -> None:
    tight = Limit(tokens_per_second=100, burst=400)
    database = Database(postgres.url("gateway"), role="gateway_intake", pool_size=2)
    dead = LeaseDesk(database)
    running = asyncio.create_task(dead.run())
    assert (await Limiter("test", tight, dead).take("orphan")).is_allowed
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await database.close()
    await asyncio.sleep(LEASE_SECONDS + 0.5)

    async with desk(postgres) as living:
        other = Limiter("test", tight, living)
        allowed = [(await other.take("orphan")).is_allowed for _ in range(tight.burst)]

    assert sum(allowed) == tight.burst


@pytest.mark.parametrize("how", ["gone", "frozen"])
async def test_without_postgres_the_processes_go_on_with_their_parts(postgres: TestPostgres, how: str) -> None:
    caller = f"outage-{how}"
    async with desks(postgres) as opened:
        limiters = [Limiter("test", LIMIT, one) for one in opened]
        before = await take_all(limiters, caller, 1.5)
        async with _away(postgres, how):
            during = await take_all(limiters, caller, 5.0)
            assert any(one.is_alone for one in opened)
        while any(one.is_alone for one in opened):
            await asyncio.sleep(0.05)
        after = await take_all(limiters, caller, 4.0)

    assert worst_stretch([*before, *during, *after], LIMIT) <= 1.05
    assert len(during) >= 0.5 * 3.0 * LIMIT.tokens_per_second, "nobody was let through while PostgreSQL was away"
    assert len(after) >= 0.5 * 4.0 * LIMIT.tokens_per_second, "the limit did not recover"


@asynccontextmanager
async def _away(postgres: TestPostgres, how: str) -> AsyncIterator[None]:
    if how == "gone":
        postgres.kill_only()
        yield
        await asyncio.to_thread(postgres.restart)
    else:
        pids = await _backends(postgres)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


async def _backends(postgres: TestPostgres) -> list[int]:
    connection = await asyncpg.connect(postgres.admin_url("tributary_gateway"))
    found = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " UNION SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)::integer"
    )
    await connection.close()
    return [row["pid"] for row in found]


async def test_buckets_of_quiet_callers_are_swept(postgres: TestPostgres) -> None:
    quick = Limit(tokens_per_second=1_000, burst=10)
    names = [f"quiet-{uuid4().hex[:6]}" for _ in range(3)]
    async with desk(postgres) as opened:
        for name in names:
            await Limiter("test", quick, opened).take(name)
        slow = Limiter("test", Limit(tokens_per_second=0.001, burst=10), opened)
        await slow.take("remembered")
    assert all([await rows(postgres, name) for name in names])
    await asyncio.sleep(LEASE_SECONDS + 0.2)

    database = Database(postgres.url("gateway"), role="gateway_worker", pool_size=1)
    async with database.transaction() as session:
        swept = await forget_quiet_buckets(session, SystemClock())
    await database.close()

    assert swept >= len(names)
    assert not any([await rows(postgres, name) for name in names])
    assert await rows(postgres, "remembered"), "an empty bucket was forgotten, which fills it"


@pytest.mark.parametrize("role", ["gateway_api", "gateway_staff", "gateway_intake"])
async def test_no_door_reads_or_writes_a_bucket(postgres: TestPostgres, role: str) -> None:
    database = Database(postgres.url("gateway"), role=role, pool_size=1)
    for statement in ("SELECT * FROM limit_bucket", "DELETE FROM limit_bucket", "UPDATE limit_bucket SET tokens = 9"):
        with pytest.raises(Exception, match="permission denied"):
            async with database.reading() as connection:
                await connection.exec_driver_sql(statement)
    if role != "gateway_intake":
        with pytest.raises(Exception, match="permission denied"):
            async with database.reading() as connection:
                await connection.exec_driver_sql("SELECT count_limit_holders(gen_random_uuid(), false)")
    await database.close()
