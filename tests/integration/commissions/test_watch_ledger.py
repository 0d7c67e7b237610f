"""The worker's own look at the ledger: it reaches the newest block, and says so when a row was changed."""

import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncSession

from services.commissions.usecases.watch_ledger import LedgerWatch
from shared.runtime.clock import SystemClock
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions import conversion, euros, fresh_id, offer_version
from tests.factories.ledger import Desk


class _Undo(Exception):
    """Rolls the tampering back."""


@pytest_asyncio.fixture(loop_scope="session")
async def posted(worker_database: Database) -> None:
    """Two blocks at least."""
    desk, offer_id = Desk(worker_database), fresh_id()
    await desk.publish(offer_version(offer_id))
    await desk.convert(conversion(conversion_id=uuid4(), offer_id=offer_id, ordered=euros(10_000)))
    await desk.convert(conversion(conversion_id=uuid4(), offer_id=offer_id, ordered=euros(20_000)))


@pytest_asyncio.fixture(loop_scope="session")
async def intruder(postgres: TestPostgres) -> AsyncIterator[Database]:
    """A superuser, whom no trigger stops."""
    database = Database(postgres.admin_url("tributary_commissions"), role="postgres", pool_size=1)
    yield database
    await database.close()


@pytest.mark.usefixtures("posted")
async def test_a_good_ledger_is_proved_to_its_newest_block_and_new_ones_as_they_come(
    worker_database: Database,
) -> None:
    watch = LedgerWatch()
    async with worker_database.transaction() as session:
        await _walk(watch, session)
    first_head = _value("ledger_verified_block")

    desk, offer_id = Desk(worker_database), fresh_id()
    await desk.publish(offer_version(offer_id))
    await desk.convert(conversion(conversion_id=uuid4(), offer_id=offer_id, ordered=euros(30_000)))
    async with worker_database.transaction() as session:
        await _walk(watch, session)

    assert _value("ledger_verified_block") == _value("ledger_head_block") == first_head + 1
    assert _value("ledger_broken_flag") == 0
    assert _value("ledger_imbalance_minor", currency="EUR") == 0


@pytest.mark.usefixtures("posted")
async def test_a_changed_amount_is_shown_as_broken_and_by_how_much_the_books_are_out(intruder: Database) -> None:
    change = "UPDATE ledger_entry SET amount_minor = amount_minor - 7 WHERE (transaction_id, n) ="
    newest = "(SELECT transaction_id FROM ledger_transaction ORDER BY transaction_id LIMIT 1)"

    verified = await _walk_tampered(intruder, f"{change} ({newest}, 1)")

    assert _value("ledger_broken_flag") == 1
    assert _value("ledger_imbalance_minor", currency="EUR") == -7
    assert verified < _value("ledger_head_block")


@pytest.mark.usefixtures("posted")
async def test_a_missing_block_is_shown_as_broken(intruder: Database) -> None:
    verified = await _walk_tampered(intruder, "DELETE FROM block WHERE number = (SELECT max(number) - 1 FROM block)")

    assert _value("ledger_broken_flag") == 1
    assert verified < _value("ledger_head_block")


async def _walk(watch: LedgerWatch, session: AsyncSession) -> None:
    while await watch.step(session, SystemClock()):
        pass


async def _walk_tampered(intruder: Database, statement: str) -> float:
    """Walk a ledger that was changed by `statement`; gives the last block that was proved."""
    with contextlib.suppress(_Undo):
        async with intruder.transaction() as session:
            connection = await session.connection()
            await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            await connection.exec_driver_sql(statement)
            watch = LedgerWatch()
            await _walk(watch, session)
            raise _Undo
    return watch.verified_block


def _value(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(f"tributary_{name}", labels)
    assert value is not None, name
    return value
