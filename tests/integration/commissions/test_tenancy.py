"""No tenant reads another's money: by no route, filter, export or cursor, and not by SQL either (I8)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from shared.runtime.database import Database, Tenant
from tests.conftest import TestPostgres
from tests.factories.commissions import conversion, euros, fresh_id, offer_version
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.ledger import Desk, query

MONTH = "2026-11"  # of FixedClock
TENANT_TABLES = ("commission", "commission_step", "ledger_entry", "ledger_transaction")
WORKERS_TABLES = ("applied_conversion", "parked_event", "outbox", "position", "dead_letter")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Two affiliates of two merchants: the one sold for 100.00 EUR three times, the other for 7.77 EUR."""

    reader: Reader
    affiliate_id: int
    merchant_id: int
    other_affiliate_id: int
    other_merchant_id: int

    async def read(self, path: str, **wanted: Any) -> Any:
        """As the affiliate that sold for 7.77 EUR."""
        answer = await self.reader.get(path, "affiliate", affiliate_id=self.other_affiliate_id, **wanted)
        assert answer.status_code == 200
        return answer


@pytest_asyncio.fixture(loop_scope="session")
async def neighbours(postgres: TestPostgres, worker_database: Database, tmp_path: Path) -> AsyncIterator[Neighbours]:
    desk, offer_id = Desk(worker_database), fresh_id()
    one, other = (fresh_id(), fresh_id()), (fresh_id(), fresh_id())
    await desk.publish(offer_version(offer_id))
    for (affiliate_id, merchant_id), cents in ((one, 10_000), (one, 10_000), (one, 10_000), (other, 777)):
        await desk.convert(
            conversion(
                conversion_id=uuid4(),
                offer_id=offer_id,
                affiliate_id=affiliate_id,
                merchant_id=merchant_id,
                ordered=euros(cents),
            )
        )
    async with commissions_api(postgres.migrate("commissions"), tmp_path) as reader:
        yield Neighbours(reader, *one, *other)


async def test_every_route_shows_an_affiliate_its_own_only(neighbours: Neighbours) -> None:
    commissions = (await neighbours.read("/v1/commissions", limit=200)).json()["items"]
    balance = (await neighbours.read("/v1/balance")).json()["items"]
    listed = (await neighbours.read("/v1/statements", limit=200)).json()["items"]
    statement = await neighbours.read("/v1/statements", period=MONTH)
    exported = await neighbours.read("/v1/statements", period=MONTH, format="csv")

    assert [item["amount"]["amount"] for item in commissions] == ["0.78"]
    assert [item["pending"]["amount"] for item in balance] == ["0.78"]
    assert [item["party"] for item in listed] == [{"kind": "affiliate", "id": neighbours.other_affiliate_id}]
    assert [line["amount"] for line in statement.json()["lines"]] == ["0.78"]
    assert exported.text.count("\r\nline,") == 1
    for answer in (commissions, balance, listed, statement.text, exported.text):
        assert "10.00" not in str(answer)


async def test_every_route_shows_a_merchant_its_own_only(neighbours: Neighbours) -> None:
    merchant: dict[str, Any] = {"merchant_id": neighbours.other_merchant_id}
    read = neighbours.reader.get
    commissions = (await read("/v1/commissions", "merchant", **merchant)).json()["items"]
    balance = (await read("/v1/balance", "merchant", **merchant)).json()["items"]
    listed = (await read("/v1/statements", "merchant", **merchant)).json()["items"]
    statement = (await read("/v1/statements", "merchant", period=MONTH, **merchant)).json()

    assert [item["charge"]["amount"] for item in commissions] == ["0.94"]
    assert [item["receivable"]["amount"] for item in balance] == ["0.94"]
    assert [item["party"] for item in listed] == [{"kind": "merchant", "id": neighbours.other_merchant_id}]
    assert (statement["closing"], len(statement["lines"])) == ("0.94", 1)


@pytest.mark.parametrize("path", ["/v1/commissions", "/v1/balance", "/v1/statements"])
async def test_no_filter_reaches_a_neighbour(neighbours: Neighbours, path: str) -> None:
    for name in ("affiliate_id", "merchant_id"):
        wanted: dict[str, Any] = {f"{name}_": getattr(neighbours, name), "period": MONTH, "currency": "EUR"}
        answer = await neighbours.reader.get(path, "affiliate", affiliate_id=neighbours.other_affiliate_id, **wanted)
        if path == "/v1/commissions" and name == "merchant_id":
            assert answer.json()["items"] == []  # an affiliate may sort its own by merchant
        else:
            assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/v1/commissions", "/v1/statements"])
async def test_a_borrowed_cursor_shows_nothing_of_its_owner(neighbours: Neighbours, path: str) -> None:
    if path == "/v1/commissions":
        owner = await neighbours.reader.get(path, "affiliate", affiliate_id=neighbours.affiliate_id, limit=1)
    else:
        owner = await neighbours.reader.get(path, "finance", limit=1)
    cursor = owner.json()["next_cursor"]
    borrowed = await neighbours.read(path, cursor=cursor)

    assert cursor
    for item in borrowed.json()["items"]:
        party = item.get("party", {"kind": "affiliate", "id": item.get("affiliate_id")})
        assert party == {"kind": "affiliate", "id": neighbours.other_affiliate_id}


async def test_sql_as_the_api_role_sees_one_tenant_or_nothing(
    neighbours: Neighbours, postgres: TestPostgres, worker_database: Database
) -> None:
    api = Database(postgres.migrate("commissions"), role="commissions_api", pool_size=1)

    async def count(table: str, tenant: Tenant | None) -> int:
        async with api.transaction(tenant=tenant) as session:
            connection = await session.connection()
            return int((await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar_one())

    try:
        for table in TENANT_TABLES:
            assert await count(table, Tenant(affiliate_id=neighbours.affiliate_id)) == 3
            assert await count(table, Tenant(merchant_id=neighbours.other_merchant_id)) == 1
            assert await count(table, Tenant(merchant_id=neighbours.affiliate_id)) == 0
            assert await count(table, None) == 0
        for table in WORKERS_TABLES:
            with pytest.raises(Exception, match="permission denied"):
                await count(table, Tenant(affiliate_id=neighbours.affiliate_id))
    finally:
        await api.close()


async def test_tables_with_a_tenant_force_a_policy(worker_database: Database) -> None:
    rows = await query(
        worker_database,
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, (SELECT count(*) FROM pg_policies AS p"
        "   WHERE p.tablename = c.relname AND p.policyname = 'tenant' AND p.with_check IS NOT NULL)"
        " FROM pg_class AS c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"
        " AND EXISTS (SELECT 1 FROM pg_attribute AS a WHERE a.attrelid = c.oid"
        "   AND a.attname IN ('merchant_id', 'affiliate_id')) ORDER BY 1",
    )

    assert {row[0] for row in rows} == {
        "audit_entry",
        "bonus_goal",
        "cap_usage",
        "commission",
        "commission_step",
        "idempotency_key",
        "ledger_entry",
        "merchant_payment",
        "payout_line",
        "payout_part",
        "payout_settings",
        "prefunding",
        "payout_stop",
        "statement",
        "statement_file",
        "statement_void",
        "tax_settings",
    }
    assert all(row[1] and row[2] == 1 for row in rows)


async def test_the_policy_of_a_header_looks_at_its_own_entries_only(
    neighbours: Neighbours, postgres: TestPostgres
) -> None:
    """Never at all of a party's entries for each header: that is quadratic, and no large statement would end."""
    api = Database(postgres.migrate("commissions"), role="commissions_api", pool_size=1)
    async with api.transaction(tenant=Tenant(affiliate_id=neighbours.affiliate_id)) as session:
        connection = await session.connection()
        rows = await connection.exec_driver_sql("EXPLAIN SELECT kind FROM ledger_transaction WHERE offer_id = 1")
        plan = "\n".join(row[0] for row in rows)
    await api.close()

    assert "SubPlan" in plan
    assert "ledger_entry_affiliate" not in plan
    assert "ledger_entry_merchant" not in plan
