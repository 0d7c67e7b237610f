"""The verifier proves a good ledger, and names the first bad row of one that somebody has changed behind our back."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from services.commissions.storage import ledger_reader
from services.commissions.storage.ledger_reader import StoredBlock
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.recompute_ledger import recompute_ledger
from services.commissions.usecases.verify_ledger import LedgerBroken, verify_ledger
from services.commissions.verify import verify
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions import conversion, euros, fresh_id, offer_version
from tests.factories.ledger import Desk, query

SUPERUSER = "postgres"
TAMPERING = {
    "an amount, both sides": (
        "UPDATE ledger_entry SET amount_minor = amount_minor * 2 WHERE transaction_id = '{transaction}'",
        "block {block}",
    ),
    "an amount, one side": (
        "UPDATE ledger_entry SET amount_minor = amount_minor + 1 WHERE transaction_id = '{transaction}' AND n = 1",
        "ledger_transaction {transaction} in block {block}",
    ),
    "an entry gone": (
        "DELETE FROM ledger_entry WHERE transaction_id = '{transaction}' AND n = 1",
        "ledger_transaction {transaction} in block {block}",
    ),
    "every entry gone": (
        "DELETE FROM ledger_entry WHERE transaction_id = '{transaction}'",
        "ledger_transaction {transaction} in block {block}",
    ),
    "a whole transaction gone": (
        "WITH gone AS (DELETE FROM ledger_entry WHERE transaction_id = '{transaction}')"
        " DELETE FROM ledger_transaction WHERE transaction_id = '{transaction}'",
        "block {block}",
    ),
    "another affiliate": (
        "UPDATE ledger_entry SET affiliate_id = 1, account = 'affiliate_pending:1'"
        " WHERE transaction_id = '{transaction}' AND affiliate_id IS NOT NULL",
        "block {block}",
    ),
    "another owner of the account": (
        "UPDATE ledger_entry SET affiliate_id = 1 WHERE transaction_id = '{transaction}' AND affiliate_id IS NOT NULL",
        "ledger_transaction {transaction} in block {block}",
    ),
    "another day": (
        "UPDATE ledger_transaction SET occurred_at = occurred_at - interval '1 day'"
        " WHERE transaction_id = '{transaction}'",
        "block {block}",
    ),
    "entries in another order": (
        "UPDATE ledger_entry SET n = 16 - n WHERE transaction_id = '{transaction}'",
        "block {block}",
    ),
    "a block gone": ("DELETE FROM block WHERE number = {block}", "block {block}"),
    "a block backdated": (
        "UPDATE block SET booked_at = booked_at - interval '40 days' WHERE number = {block}",
        "block {block}",
    ),
    "a block's hash": (
        "UPDATE block SET hash = sha256(hash) WHERE number = {block}",
        "block {block}",
    ),
    "an entries hash": (
        "UPDATE block SET entries_hash = sha256(entries_hash) WHERE number = {block}",
        "block {block}",
    ),
    "two postings exchanged": (
        "UPDATE ledger_transaction SET posting_id = CASE posting_id"
        " WHEN (SELECT posting_id FROM block WHERE number = {block})"
        " THEN (SELECT posting_id FROM block WHERE number = {block} + 1)"
        " ELSE (SELECT posting_id FROM block WHERE number = {block}) END"
        " WHERE posting_id IN (SELECT posting_id FROM block WHERE number IN ({block}, {block} + 1))",
        "block {block}",
    ),
    "a transaction without a block": (
        "UPDATE ledger_transaction SET posting_id = gen_random_uuid() WHERE transaction_id = '{transaction}'",
        "block {block}",
    ),
    "a commission's amount": (
        "UPDATE commission SET commission_minor = commission_minor + 1 WHERE conversion_id = '{conversion}'",
        "commission {commission}",
    ),
    "a period closed where it does not end": (
        "INSERT INTO period_close (period, block_number, closed_at) VALUES ('2020-01', 1, now())",
        "period_close 2020-01",
    ),
}


class _Undo(Exception):
    """Rolls the tampering back."""


@dataclass(frozen=True, slots=True)
class Target:
    """One posted transaction in the middle of the chain."""

    transaction: str
    conversion: str
    commission: str
    block: int


@pytest_asyncio.fixture(loop_scope="session")
async def target(worker_database: Database) -> Target:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id))
    await desk.convert(conversion(conversion_id=one, offer_id=offer_id, ordered=euros(10_000)))
    await desk.convert(conversion(conversion_id=uuid4(), offer_id=offer_id, ordered=euros(20_000)))
    [row] = await query(
        worker_database,
        "SELECT transaction_id, conversion_id, commission_id, number FROM ledger_transaction"
        " JOIN block USING (posting_id) WHERE conversion_id = $1",
        one,
    )
    return Target(str(row[0]), str(row[1]), str(row[2]), int(str(row[3])))


@pytest_asyncio.fixture(loop_scope="session")
async def intruder(postgres: TestPostgres) -> AsyncIterator[Database]:
    """A superuser, whom no trigger stops."""
    database = Database(postgres.admin_url("tributary_commissions"), role=SUPERUSER, pool_size=1)
    yield database
    await database.close()


async def test_a_good_ledger_is_proved_and_repriced(postgres: TestPostgres, target: Target) -> None:
    staff = Database(postgres.migrate("commissions"), role="commissions_staff")

    done = await verify(staff, recompute=True)
    await staff.close()

    assert done.proof.blocks >= target.block
    assert done.proof.entries >= 2 * done.proof.transactions > 0
    assert done.repriced
    assert str(done).startswith("ledger proved: ")


@pytest.mark.parametrize("what", TAMPERING)
async def test_the_first_bad_row_is_named(intruder: Database, target: Target, what: str) -> None:
    statement, row = TAMPERING[what]
    names = {
        "transaction": target.transaction,
        "conversion": target.conversion,
        "commission": target.commission,
        "block": target.block,
    }

    with contextlib.suppress(_Undo):
        async with intruder.transaction() as session:
            connection = await session.connection()
            await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            await connection.exec_driver_sql(statement.format(**names))
            with pytest.raises(LedgerBroken) as broken:
                await verify_ledger(session)
            raise _Undo

    assert broken.value.fault.row == row.format(**names)


async def test_a_forgery_with_new_hashes_all_along_is_found_by_repricing(intruder: Database, target: Target) -> None:
    """Whoever can rewrite the whole chain still cannot make the inputs say another amount."""
    with contextlib.suppress(_Undo):
        async with intruder.transaction() as session:
            connection = await session.connection()
            await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            await connection.exec_driver_sql(
                "UPDATE ledger_entry SET amount_minor = amount_minor * 2 WHERE transaction_id = $1::text::uuid",
                (target.transaction,),
            )
            with pytest.raises(LedgerBroken) as broken:
                await recompute_ledger(session, OfferVersions())
            raise _Undo

    assert broken.value.fault.row == f"commission_step {target.conversion} version 1"
    assert target.transaction in broken.value.fault.reason


async def test_a_lost_input_is_found_by_repricing(intruder: Database, target: Target) -> None:
    with contextlib.suppress(_Undo):
        async with intruder.transaction() as session:
            connection = await session.connection()
            await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            await connection.exec_driver_sql(
                "DELETE FROM commission_step WHERE conversion_id = $1::text::uuid", (target.conversion,)
            )
            with pytest.raises(LedgerBroken, match="no applied version accounts for it"):
                await recompute_ledger(session, OfferVersions())
            raise _Undo


async def test_progress_tells_of_every_block_and_every_version(intruder: Database, target: Target) -> None:
    blocks: list[tuple[int, int]] = []
    versions: list[tuple[int, int]] = []

    async with intruder.transaction() as session:
        proof = await verify_ledger(session, lambda done, total: blocks.append((done, total)))
        repriced = await recompute_ledger(session, OfferVersions(), lambda done, total: versions.append((done, total)))

    assert blocks == [(number, proof.blocks) for number in range(1, proof.blocks + 1)]
    assert versions == [(number, repriced) for number in range(1, repriced + 1)]


async def test_one_block_at_a_time_is_in_memory(
    intruder: Database, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream runs at most one page ahead of what is verified, however long the chain is."""
    ahead: list[int] = []
    verified = 0
    monkeypatch.setattr(ledger_reader, "ROWS_AT_ONCE", 1)
    read_block = ledger_reader._block

    def counted(row: Any) -> StoredBlock:
        stored = read_block(row)
        ahead.append(stored.block.number - verified)
        return stored

    def progress(done: int, _total: int) -> None:
        nonlocal verified
        verified = done

    monkeypatch.setattr(ledger_reader, "_block", counted)
    async with intruder.transaction() as session:
        proof = await verify_ledger(session, progress)

    assert proof.blocks == len(ahead) > 1
    assert max(ahead) == 1


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_says_so_and_exits_with_0(postgres: TestPostgres, target: Target, as_json: bool) -> None:
    environment = {
        "DATABASE_URL_COMMISSIONS": postgres.migrate("commissions"),
        "BROKER": "embedded",
        "TRIBUTARY_ENV": "test",
    }
    options = ["--recompute", *(["--json"] if as_json else [])]

    ran = subprocess.run(
        [sys.executable, "-m", "services.commissions.verify", *options],
        env=environment,
        capture_output=True,
        text=True,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    if as_json:
        document = json.loads(ran.stdout)
        assert document["proved"] is True
        assert document["blocks"] >= target.block
    else:
        assert ran.stdout.startswith("ledger proved: ")


def test_a_terminal_is_told_how_far_it_is(postgres: TestPostgres, target: Target) -> None:
    environment = {
        "DATABASE_URL_COMMISSIONS": postgres.migrate("commissions"),
        "BROKER": "embedded",
        "TRIBUTARY_ENV": "test",
    }
    ours, theirs = pty.openpty()

    ran = subprocess.run(
        [sys.executable, "-m", "services.commissions.verify"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    assert ran.returncode == 0
    assert "verifying block 1 of " in shown
