"""Payout runs while others work: what is drafted, exported or reversed at once is paid once, only what is there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions_api import commissions_api
from tests.factories.ledger import query
from tests.factories.payout_stage import PayoutStage

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROUNDS = 3


@pytest_asyncio.fixture(loop_scope="session")
async def stage(postgres: TestPostgres, worker_database: Database, tmp_path: Path) -> AsyncIterator[PayoutStage]:
    clock_file = tmp_path / "clock"
    clock_file.write_text("2026-11-24T09:00:00+00:00")
    async with commissions_api(postgres.migrate("commissions"), tmp_path, clock_file=clock_file) as reader:
        stage = PayoutStage(reader, worker_database, tmp_path)
        await stage.publish()
        yield stage
        await stage.clear()


async def test_drafts_at_once_take_each_payee_into_one_run(stage: PayoutStage) -> None:
    payees = {await stage.payee(10_000) for _ in range(3)}

    runs = await asyncio.gather(*(stage.drafted() for _ in range(4)))
    taken = [line["affiliate_id"] for run in runs for line in await stage.lines(run["id"], state="draft")]

    assert sorted(taken) == sorted(payees)


async def test_an_export_at_once_with_itself_is_done_once(stage: PayoutStage) -> None:
    one = await stage.payee(10_000)
    run = await stage.drafted()
    await stage.act(run["id"], "approve")

    answers = await asyncio.gather(*(stage.act(run["id"], "export") for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert await stage.balance(one) == {"payable": "0.00", "paid": "100.00"}
    assert await stage.clearing(run["id"]) == -10_000


@pytest.mark.parametrize("_", range(ROUNDS))
async def test_a_reversal_at_once_with_an_export_is_before_it_or_after_it_and_never_between(
    stage: PayoutStage, _: int
) -> None:
    payees = [await stage.payee(10_000) for _ in range(4)]
    more = [await stage.sale(each, 3_000) for each in payees]
    run = await stage.drafted()
    await stage.act(run["id"], "approve")

    export = asyncio.ensure_future(stage.act(run["id"], "export"))
    await asyncio.gather(*(stage.reverse(conversion_id) for conversion_id in more))
    exported = await export

    assert exported.status_code == 200, exported.text
    rows = await query(
        stage.worker,
        "WITH paid AS (SELECT e.affiliate_id, block.number, e.amount_minor FROM ledger_entry AS e"
        "   JOIN ledger_transaction AS t USING (transaction_id) JOIN block USING (posting_id)"
        "   WHERE t.kind = 'payout' AND e.affiliate_id = ANY ($1::int[]))"
        " SELECT paid.affiliate_id, paid.amount_minor, (SELECT -sum(e.amount_minor)::bigint FROM ledger_entry AS e"
        "   JOIN ledger_transaction USING (transaction_id) JOIN block USING (posting_id)"
        "   WHERE e.account = 'affiliate_payable:' || paid.affiliate_id AND block.number <= paid.number)"
        " FROM paid ORDER BY 1",
        payees,
    )
    lines = {line["affiliate_id"]: line["amount"]["amount"] for line in await stage.lines(run["id"], state="exported")}
    assert {row[0]: f"{int(str(row[1])) / 100:.2f}" for row in rows} == lines
    assert set(lines.values()) <= {"100.00", "130.00"}
    assert [row[2] for row in rows] == [0] * len(payees)  # at its block nobody was paid more, or less, than was there
    assert sorted(amount for _, amount in stage.lines_of(await stage.file(run["id"]))) == sorted(lines.values())
