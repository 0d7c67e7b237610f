"""Finance acts: one block each posting, inputs kept, the same again when recomputed, nothing behind their back."""

import contextlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from services.commissions.domain.acts.finance_act import ActImpossible, FinanceAct
from services.commissions.usecases.post_acts import post_acts
from services.commissions.usecases.recompute_ledger import recompute_acts
from services.commissions.usecases.verify_ledger import LedgerBroken, verify_ledger
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions import fresh_id
from tests.factories.ledger import FixedClock, ledger_sha256, query

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


class _Undo(Exception):
    """Rolls the tampering back."""


def bonus(affiliate_id: int, amount_minor: int = 5_000, **changes: Any) -> FinanceAct:
    inputs = {
        "affiliate_id": affiliate_id,
        "merchant_id": None,
        "amount_minor": amount_minor,
        "currency": "EUR",
        "payable_at": AT.isoformat(),
    }
    return FinanceAct(uuid4(), "bonus", {**inputs, **changes}, "key:test", AT, "goal_reached")


async def post(database: Database, *acts: FinanceAct) -> int | None:
    async with database.transaction() as session:
        block = await post_acts(session, acts, now=FixedClock().now())
    return None if block is None else block.number


async def test_acts_post_one_block_and_come_to_the_same_again(worker_database: Database) -> None:
    affiliate_id, merchant_id = fresh_id(), fresh_id()
    acts = [bonus(affiliate_id), bonus(affiliate_id, 300, merchant_id=merchant_id)]

    number = await post(worker_database, *acts)

    rows = await query(
        worker_database,
        "SELECT account, sum(amount_minor)::bigint FROM ledger_entry JOIN ledger_transaction USING (transaction_id)"
        " JOIN block USING (posting_id) WHERE number = $1 GROUP BY 1 ORDER BY 1",
        number,
    )
    assert rows == [
        (f"affiliate_payable:{affiliate_id}", -5_300),
        (f"merchant_receivable:{merchant_id}", 300),
        ("network_margin", 5_000),
    ]
    said = await query(
        worker_database,
        "SELECT convert_from(payload, 'UTF8') FROM outbox WHERE topic = 'commissions.v1' AND key = $1",
        str(affiliate_id).encode(),
    )
    assert {msgspec.json.decode(str(payload))["kind"] for (payload,) in said} == {"bonus"}
    assert len(said) == 2
    async with worker_database.transaction() as session:
        await verify_ledger(session)
        assert await recompute_acts(session) >= 2


async def test_an_act_is_posted_once(worker_database: Database) -> None:
    act = bonus(fresh_id())
    await post(worker_database, act)
    before = await ledger_sha256(worker_database)

    with pytest.raises(IntegrityError):
        await post(worker_database, act)

    assert await ledger_sha256(worker_database) == before


@pytest.mark.parametrize(
    "act",
    [
        bonus(1, 0),
        bonus(1, -5),
        bonus(1, payable_at="soon"),
        FinanceAct(UUID(int=1), "gift", {}, "key:test", AT),
        FinanceAct(UUID(int=1), "bonus", {}, "key:test", AT),
    ],
    ids=["nothing", "less than nothing", "no date", "of no kind", "of nobody"],
)
async def test_an_act_without_sense_posts_nothing(worker_database: Database, act: FinanceAct) -> None:
    before = await ledger_sha256(worker_database)

    with pytest.raises(ActImpossible):
        await post(worker_database, act)

    assert await ledger_sha256(worker_database) == before


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE finance_act SET inputs = jsonb_set(inputs, '{amount_minor}', '7') WHERE act_id = $1", "finance_act"),
        ("UPDATE finance_act SET transaction_ids = '{}' WHERE act_id = $1", "finance_act"),
        ("DELETE FROM finance_act WHERE act_id = $1", "no finance act accounts for it"),
        (
            "UPDATE ledger_entry SET amount_minor = amount_minor * 2 WHERE transaction_id ="
            " ANY (SELECT unnest(transaction_ids) FROM finance_act WHERE act_id = $1)",
            "is not what its inputs come to",
        ),
    ],
)
async def test_another_input_or_another_posting_is_named(
    postgres: TestPostgres, worker_database: Database, statement: str, reason: str
) -> None:
    act = bonus(fresh_id())
    await post(worker_database, act)
    intruder = Database(postgres.admin_url("tributary_commissions"), role="postgres", pool_size=1)

    with contextlib.suppress(_Undo):
        async with intruder.transaction() as session:
            connection = await session.connection()
            await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            await connection.exec_driver_sql(statement, (act.act_id,))
            with pytest.raises(LedgerBroken) as broken:
                await recompute_acts(session)
            assert reason in str(broken.value)
            raise _Undo
    await intruder.close()


@pytest.mark.parametrize("role", ["commissions_worker", "commissions_staff"])
async def test_an_act_is_never_changed(postgres: TestPostgres, worker_database: Database, role: str) -> None:
    act = bonus(fresh_id())
    await post(worker_database, act)
    database = Database(postgres.migrate("commissions"), role=role, pool_size=1)

    for statement in ("UPDATE finance_act SET actor = 'nobody'", "DELETE FROM finance_act"):
        with pytest.raises(Exception, match=r"permission denied|only grows"):
            async with database.transaction() as session:
                await (await session.connection()).exec_driver_sql(statement)
    await database.close()
