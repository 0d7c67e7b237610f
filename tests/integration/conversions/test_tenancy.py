"""Row-level security stands behind every filter, forced, from the first migration."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.runtime.database import Database, Tenant
from tests.conftest import TestPostgres
from tests.factories.conversions import AFFILIATE, MERCHANT, OTHER_MERCHANT, ConversionsService


async def sale(service: ConversionsService) -> str:
    offer_id = await service.publish()
    fields = {
        "click_id": service.click_id(offer_id=offer_id),
        "order_id": service.order(),
        "amount": "1",
        "currency": "EUR",
    }
    answer = (await service.postback(fields)).json()
    return str(answer["conversion_id"])


async def test_tables_with_a_tenant_force_a_policy_with_check(conversions: ConversionsService) -> None:
    tables = await conversions.rows(
        "SELECT DISTINCT c.oid::regclass::text AS name, c.relrowsecurity, c.relforcerowsecurity,"
        " c.relispartition FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public' AND a.attname IN ('merchant_id', 'affiliate_id')"
    )

    whole = [table["name"] for table in tables if not table["relispartition"]]
    assert len(whole) == 16
    assert all(table["relrowsecurity"] and table["relforcerowsecurity"] for table in tables)
    policies = await conversions.rows("SELECT * FROM pg_policies WHERE policyname = 'tenant'")
    assert {policy["tablename"] for policy in policies} == set(whole)  # a partition has none: nobody reads it directly
    assert all(policy["qual"] and policy["with_check"] for policy in policies)


async def test_roles_are_ordinary(conversions: ConversionsService) -> None:
    roles = await conversions.rows("SELECT * FROM pg_roles WHERE rolname LIKE 'conversions%'")

    assert len(roles) >= 6
    assert not any(role["rolsuper"] or role["rolbypassrls"] for role in roles)
    owners = await conversions.rows("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert [owner["tableowner"] for owner in owners] == ["conversions_migrate"]


@pytest.mark.parametrize(
    ("tenant", "sees"),
    [
        (Tenant(merchant_id=MERCHANT), True),
        (Tenant(affiliate_id=AFFILIATE), True),
        (Tenant(merchant_id=OTHER_MERCHANT), False),
        (Tenant(affiliate_id=MERCHANT), False),
        (Tenant(merchant_id=AFFILIATE), False),
        (None, False),
    ],
)
async def test_a_tenants_sql_sees_its_own_rows_only(
    conversions: ConversionsService, postgres: TestPostgres, tenant: Tenant | None, sees: bool
) -> None:
    conversion_id = await sale(conversions)
    database = Database(postgres.url("conversions"), role="conversions_api", pool_size=1)

    async def count(statement: str) -> Any:
        async with database.transaction(tenant=tenant) as session:
            return (await session.execute(text(statement), {"id": conversion_id})).scalar_one()

    try:
        assert await count("SELECT count(*) FROM conversion WHERE id = :id") == int(sees)
        assert await count("SELECT count(*) FROM conversion_version WHERE conversion_id = :id") == int(sees)
        is_merchant = tenant is not None and tenant.merchant_id == MERCHANT
        assert await count("SELECT count(*) FROM receipt WHERE conversion_id = :id") == int(is_merchant)
    finally:
        await database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO receipt (id) VALUES (gen_random_uuid())",
        "DELETE FROM conversion",
        "SELECT * FROM outbox",
        "UPDATE conversion_version SET status = 'approved'",
        "DELETE FROM conversion_version",
        "DELETE FROM postback_credential",
        "DROP TABLE conversion",
        "UPDATE position SET next_offset = 0",
    ],
)
async def test_a_tenants_role_has_narrow_grants(
    conversions: ConversionsService, postgres: TestPostgres, statement: str
) -> None:
    database = Database(postgres.url("conversions"), role="conversions_api", pool_size=1)

    try:
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
            async with database.transaction(tenant=Tenant(merchant_id=MERCHANT)) as session:
                await session.execute(text(statement))
    finally:
        await database.close()


async def test_a_tenant_cannot_give_a_row_away(conversions: ConversionsService, postgres: TestPostgres) -> None:
    conversion_id = await sale(conversions)
    database = Database(postgres.url("conversions"), role="conversions_api", pool_size=1)

    try:
        with pytest.raises(DBAPIError, match="row-level security"):
            async with database.transaction(tenant=Tenant(merchant_id=MERCHANT)) as session:
                await session.execute(
                    text("UPDATE conversion SET merchant_id = 8, affiliate_id = 99 WHERE id = :id"),
                    {"id": conversion_id},
                )
    finally:
        await database.close()
