"""The database itself refuses what the ledger forbids, whoever asks."""

import contextlib
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError

from services.commissions.consumers.conversions import ConversionsHandler
from services.commissions.storage.ledger_store import lock_head
from services.commissions.usecases.close_period import close_passed_periods
from services.commissions.usecases.find_offer_versions import OfferVersions
from shared.runtime.database import Database, Tenant
from tests.conftest import TestPostgres
from tests.factories.commissions import conversion, euros, fresh_id, offer_version, received
from tests.factories.ledger import Desk, FixedClock, query

FORBIDDEN = [
    f"{change} {table}{rest}"
    for table in ("ledger_transaction", "ledger_entry", "block", "period_close", "commission_step")
    for change, rest in (("DELETE FROM", ""), ("TRUNCATE", " CASCADE"))
] + [
    "UPDATE ledger_entry SET amount_minor = amount_minor + 1",
    "UPDATE ledger_transaction SET reason_code = 'x'",
    "UPDATE block SET booked_at = now()",
    "UPDATE period_close SET block_number = 0",
    "UPDATE commission_step SET status = 'approved'",
]
_HEADER = (
    "INSERT INTO ledger_transaction (transaction_id, posting_id, kind, occurred_at) VALUES ($1, $2, 'accrual', now())"
)
_ENTRY = (
    "INSERT INTO ledger_entry (transaction_id, n, account, merchant_id, currency, amount_minor)"
    " VALUES ($1, $3, 'network_margin', NULL, 'EUR', $4)"
)


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_nothing_of_the_ledger_is_changed_by_worker_or_owner(
    worker_database: Database, owner_database: Database, statement: str
) -> None:
    for database in (worker_database, owner_database):
        with pytest.raises(DBAPIError):
            async with database.transaction() as session:
                await (await session.connection()).exec_driver_sql(statement)


async def test_entries_that_do_not_balance_are_refused(worker_database: Database) -> None:
    transaction_id = uuid4()

    with pytest.raises(DBAPIError, match="does not sum to zero"):
        async with worker_database.transaction() as session:
            await (await session.connection()).exec_driver_sql(
                f"WITH header AS ({_HEADER} RETURNING 1) {_ENTRY}", (transaction_id, uuid4(), 1, 5)
            )


async def test_a_transaction_without_entries_or_block_is_refused(worker_database: Database) -> None:
    with pytest.raises(DBAPIError, match="no entries or no block"):
        async with worker_database.transaction() as session:
            await (await session.connection()).exec_driver_sql(_HEADER, (uuid4(), uuid4()))


async def test_an_old_transaction_takes_no_more_entries(worker_database: Database) -> None:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id))
    await desk.convert(conversion(conversion_id=one, offer_id=offer_id, ordered=euros(100)))
    [(transaction_id,)] = await query(
        worker_database, "SELECT transaction_id FROM ledger_transaction WHERE conversion_id = $1", one
    )

    with pytest.raises(DBAPIError, match="foreign key"):
        async with worker_database.transaction() as session:
            await (await session.connection()).exec_driver_sql(
                "INSERT INTO ledger_entry (transaction_id, n, account, currency, amount_minor)"
                " VALUES ($1, 10, 'a', 'EUR', 1), ($1, 11, 'b', 'EUR', -1)",
                (transaction_id,),
            )


async def test_the_api_role_posts_nothing_and_sees_its_own_only(
    postgres: TestPostgres, worker_database: Database
) -> None:
    desk, offer_id, mine, theirs = Desk(worker_database), fresh_id(), uuid4(), uuid4()
    affiliate_id, other_id = fresh_id(), fresh_id()
    await desk.publish(offer_version(offer_id))
    await desk.convert(
        conversion(conversion_id=mine, offer_id=offer_id, affiliate_id=affiliate_id, ordered=euros(100)),
        conversion(conversion_id=theirs, offer_id=offer_id, affiliate_id=other_id, ordered=euros(100)),
    )
    api = Database(postgres.migrate("commissions"), role="commissions_api")

    async with api.transaction(tenant=Tenant(affiliate_id=affiliate_id)) as session:
        connection = await session.connection()
        entries = (await connection.exec_driver_sql("SELECT DISTINCT account FROM ledger_entry")).scalars().all()
        headers = (await connection.exec_driver_sql("SELECT conversion_id FROM ledger_transaction")).scalars().all()
        steps = (await connection.exec_driver_sql("SELECT conversion_id FROM commission_step")).scalars().all()
    async with api.transaction() as session:
        connection = await session.connection()
        unset = [
            (await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in ("ledger_entry", "ledger_transaction", "commission", "commission_step")
        ]
    with pytest.raises(DBAPIError, match="permission denied"):
        async with api.transaction(tenant=Tenant(affiliate_id=affiliate_id)) as session:
            await (await session.connection()).exec_driver_sql(_HEADER, (uuid4(), uuid4()))
    await api.close()

    assert entries == [f"affiliate_pending:{affiliate_id}"]
    assert headers == steps == [mine]
    assert unset == [0, 0, 0, 0]


class _Undo(Exception):
    """Rolls a test's transaction back: a chain that has seen the future would carry every later test there."""


async def test_nothing_is_booked_into_a_closed_period_nor_back_in_time(worker_database: Database) -> None:
    clock, offer_id = FixedClock(datetime(2030, 1, 31, 23, 59, tzinfo=UTC)), fresh_id()
    behind = datetime(2030, 1, 31, 23, 59, 30, tzinfo=UTC)  # a clock that runs behind after the close
    door = ConversionsHandler(OfferVersions(), clock)
    booked: list[datetime] = []
    await Desk(worker_database).publish(offer_version(offer_id))

    with contextlib.suppress(_Undo):
        async with worker_database.transaction() as session:
            for instant in (clock.instant, behind, behind - timedelta(days=300)):
                clock.instant = instant
                event = conversion(conversion_id=uuid4(), offer_id=offer_id, ordered=euros(100))
                await door(session, [received(event)])
                booked.append((await lock_head(session)).booked_at or instant)
                await close_passed_periods(session, datetime(2030, 2, 1, tzinfo=UTC))
            raise _Undo

    february = datetime(2030, 2, 1, tzinfo=UTC)
    assert booked == [datetime(2030, 1, 31, 23, 59, tzinfo=UTC), february, february]


async def test_blocks_are_gapless_and_chained(worker_database: Database) -> None:
    rows = await query(worker_database, "SELECT number, previous_hash, hash, booked_at FROM block ORDER BY number")

    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert [row[1] for row in rows[1:]] == [row[2] for row in rows[:-1]]
    assert [row[3] for row in rows] == sorted(row[3] for row in rows)  # type: ignore[type-var]


async def test_a_sealed_posting_takes_no_more_transactions(worker_database: Database) -> None:
    desk, offer_id = Desk(worker_database), fresh_id()
    await desk.publish(offer_version(offer_id))
    await desk.convert(conversion(conversion_id=uuid4(), offer_id=offer_id, ordered=euros(100)))
    [(posting_id,)] = await query(worker_database, "SELECT posting_id FROM block ORDER BY number DESC LIMIT 1")

    late = uuid4()

    async def post_late() -> None:
        async with worker_database.transaction() as session:
            connection = await session.connection()
            await connection.exec_driver_sql(_HEADER, (late, posting_id))
            await connection.exec_driver_sql(
                "INSERT INTO ledger_entry (transaction_id, n, account, currency, amount_minor)"
                " VALUES ($1, 1, 'a', 'EUR', 1), ($1, 2, 'b', 'EUR', -1)",
                (late,),
            )

    with pytest.raises(DBAPIError, match="no block of its own"):
        await post_late()
