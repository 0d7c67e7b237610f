"""Denials cost a refused request nothing, are entered exactly once, and never fill the memory."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.runtime.audit_denials import QUEUE_FULL_CODE, DenialLog
from shared.runtime.audit_requests import Denial
from shared.runtime.clock import SystemClock
from shared.runtime.database import Database, Session
from tests.conftest import TestPostgres
from tests.factories.audit import audit_entry
from tests.integration.audit.chain import Chain

THERE = "7"


async def _exists(_session: Session, _object_type: str, object_id: str) -> bool:
    return object_id == THERE


def _denial(*, only_if_foreign: bool = False, **changes: Any) -> Denial:
    values = {"outcome": "denied", "code": "role_not_allowed", "before_hash": None, "after_hash": None, **changes}
    return Denial(audit_entry(**values), only_if_foreign)


@pytest.fixture
async def database(postgres: TestPostgres) -> AsyncIterator[Database]:
    opened = Database(postgres.migrate("clicks"), role="clicks_staff", pool_size=1)
    yield opened
    await opened.close()


@pytest.fixture
def chain(postgres: TestPostgres) -> Chain:
    return Chain(postgres, "clicks")


async def test_what_was_noted_is_entered_once_and_in_order(database: Database, chain: Chain) -> None:
    log = DenialLog(database, _exists, SystemClock())
    denials = [_denial() for _ in range(450)]
    for denial in denials:
        log.note(denial)

    await log.write()
    await log.write()

    numbers = [[row["number"] for row in await chain.entries_of(d.entry.request_id)] for d in denials[::50]]
    assert all(len(found) == 1 for found in numbers)
    assert numbers == sorted(numbers)


async def test_it_writes_by_itself_a_moment_later(database: Database, chain: Chain) -> None:
    log = DenialLog(database, _exists, SystemClock())
    running = asyncio.create_task(log.run())
    denial = _denial()
    log.note(denial)

    found = await chain.entries_of_all([denial.entry.request_id])

    running.cancel()
    assert len(found[denial.entry.request_id]) == 1


async def test_a_404_is_entered_only_for_what_is_there(database: Database, chain: Chain) -> None:
    log = DenialLog(database, _exists, SystemClock())
    foreign, nobodys = _denial(only_if_foreign=True, object_id=THERE), _denial(only_if_foreign=True, object_id="8")
    for denial in (foreign, nobodys):
        log.note(denial)

    await log.write()

    assert len(await chain.entries_of(foreign.entry.request_id)) == 1
    assert await chain.entries_of(nobodys.entry.request_id) == []


async def test_a_full_queue_takes_no_more_and_says_how_many(database: Database, chain: Chain) -> None:
    log = DenialLog(database, _exists, SystemClock(), waiting_max=5)
    denials = [_denial() for _ in range(12)]
    for denial in denials:
        log.note(denial)

    await log.write()

    entered = [len(await chain.entries_of(denial.entry.request_id)) for denial in denials]
    summary = (await chain.query("SELECT * FROM audit_entry ORDER BY number DESC LIMIT 1"))[0]
    assert entered == [1] * 5 + [0] * 7
    assert (summary["code"], summary["occurrences"], summary["role"]) == (QUEUE_FULL_CODE, 7, "nobody")


async def test_a_stop_writes_what_waits(database: Database, chain: Chain) -> None:
    log = DenialLog(database, _exists, SystemClock())
    running = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    denials = [_denial() for _ in range(300)]
    for denial in denials:
        log.note(denial)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    await log.close()

    found = await chain.entries_of_all([denial.entry.request_id for denial in denials])
    assert {len(entries) for entries in found.values()} == {1}


async def test_one_that_the_table_refuses_does_not_hold_up_the_others(database: Database, chain: Chain) -> None:
    log = DenialLog(database, _exists, SystemClock())
    before, bad, after = _denial(), _denial(action=""), _denial()
    for denial in (before, bad, after):
        log.note(denial)

    await log.write()

    counts = [len(await chain.entries_of(denial.entry.request_id)) for denial in (before, bad, after)]
    assert counts == [1, 0, 1]


async def test_denials_outlive_an_outage_and_are_entered_once(mortal_postgres: TestPostgres) -> None:
    """Also when the answer of a commit was lost: what was written then is not written again."""
    database = Database(mortal_postgres.migrate("clicks"), role="clicks_staff", pool_size=1)
    log, chain = DenialLog(database, _exists, SystemClock()), Chain(mortal_postgres, "clicks")
    committed, waiting = _denial(), _denial()
    log.note(committed)
    commit = database.transaction

    def lose_the_answer() -> Any:
        class Lost:
            async def __aenter__(self) -> Session:
                self.real = commit()
                return await self.real.__aenter__()

            async def __aexit__(self, *fault: Any) -> None:
                await self.real.__aexit__(*fault)
                raise ConnectionError("the answer was lost")

        return Lost()

    database.transaction = lose_the_answer  # type: ignore[assignment]
    with pytest.raises(ConnectionError):
        await log.write()
    database.transaction = commit  # type: ignore[method-assign]
    log.note(waiting)
    await asyncio.to_thread(mortal_postgres.kill_only)
    with pytest.raises(Exception, match=r".*"):
        await log.write()
    await asyncio.to_thread(mortal_postgres.restart)

    await log.close()

    await database.close()
    for denial in (committed, waiting):
        assert len(await chain.entries_of(denial.entry.request_id)) == 1
    assert await chain.verify() == 2
