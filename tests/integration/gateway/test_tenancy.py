"""No tenant sees another's rows: by any route (I8), and in the database itself."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from services.gateway.storage.session import execute, fetch_all
from shared.runtime.database import Database, Tenant
from tests.conftest import TestPostgres
from tests.factories.gateway import percentage_term
from tests.integration.gateway.conftest import GatewayClient, Network, small_network

TENANT_TABLES = (
    "merchant",
    "affiliate",
    "affiliate_group",
    "offer",
    "offer_version",
    "enrolment",
    "enrolment_interval",
    "api_key",
    "idempotency_record",
    "audit_entry",
)


async def test_foreign_ids_are_not_found(admin: GatewayClient, network: Network) -> None:
    other = await small_network(admin)
    applied = await other.affiliate.post(f"/v1/offers/{other.offer_id}/applications")

    for client in (network.merchant, network.affiliate):
        await client.get(f"/v1/enrolments/{applied['id']}", expect=404)
    for verb in ("approve", "reject", "end"):
        await network.merchant.post(f"/v1/enrolments/{applied['id']}/{verb}", expect=404)
    await network.merchant.get(f"/v1/offers/{other.offer_id}", expect=404)
    await network.merchant.get(f"/v1/offers/{other.offer_id}/versions", expect=404)
    await network.merchant.get(f"/v1/offers/{other.offer_id}/versions/1", expect=404)


async def test_lists_and_filters_show_own_rows_only(admin: GatewayClient, network: Network) -> None:
    other = await small_network(admin)
    await other.affiliate.post(f"/v1/offers/{other.offer_id}/applications")

    offers = await network.merchant.get(f"/v1/offers?limit=200&merchant_id={other.merchant_id}")
    enrolments = await network.merchant.get(f"/v1/enrolments?offer_id={other.offer_id}")
    of_affiliate = await network.affiliate.get(f"/v1/enrolments?affiliate_id={other.affiliate_id}")

    assert offers["items"] == enrolments["items"] == of_affiliate["items"] == []
    assert {o["merchant_id"] for o in (await network.merchant.get("/v1/offers"))["items"]} == {network.merchant_id}


async def test_affiliates_see_active_offers_without_margins(admin: GatewayClient, network: Network) -> None:
    seen = await network.affiliate.get(f"/v1/offers/{network.offer_id}")

    assert seen["version"]["terms"][0]["rate_percent"] == "10"
    assert seen["version"]["terms"][0]["margin_percent"] is None
    full = await network.merchant.get(f"/v1/offers/{network.offer_id}")
    assert full["version"]["terms"][0]["margin_percent"] == "2"
    await admin.post(f"/v1/offers/{network.offer_id}/pause", expect=200)
    await network.affiliate.get(f"/v1/offers/{network.offer_id}", expect=404)
    await network.affiliate.post(f"/v1/offers/{network.offer_id}/applications", expect=404)


async def test_an_enrolled_affiliate_keeps_seeing_a_paused_offer(admin: GatewayClient, network: Network) -> None:
    await admin.post("/v1/enrolments", {"offer_id": network.offer_id, "affiliate_id": network.affiliate_id})
    await admin.post(f"/v1/offers/{network.offer_id}/pause", expect=200)

    assert (await network.affiliate.get(f"/v1/offers/{network.offer_id}"))["status"] == "paused"


async def test_every_tenant_table_forces_row_level_security(connection: "asyncpg.Connection") -> None:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity AND relkind = 'r'"
    )
    tenants = await connection.fetch(
        "SELECT DISTINCT table_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name IN ('merchant_id', 'affiliate_id')"
    )

    forced = {row["relname"] for row in rows}
    assert set(TENANT_TABLES) <= {row["table_name"] for row in tenants} <= forced
    assert {"limit_bucket", "limit_holder"} <= forced


async def test_without_a_tenant_there_are_no_rows(postgres: TestPostgres, network: Network) -> None:
    database = Database(postgres.url("gateway"), role="gateway_api", pool_size=1)
    try:
        for _ in range(2):
            async with database.transaction() as session:
                for table in set(TENANT_TABLES) - {"api_key", "audit_entry"}:
                    assert await fetch_all(session, f"SELECT * FROM {table}") == []
            async with database.transaction(tenant=Tenant(merchant_id=network.merchant_id)) as session:
                assert len(await fetch_all(session, "SELECT * FROM offer")) == 1
    finally:
        await database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE enrolment SET status = 'approved'",
        "INSERT INTO enrolment_interval SELECT enrolment_id, 1, merchant_id, affiliate_id, now() FROM enrolment",
        "INSERT INTO enrolment (offer_id, affiliate_id, merchant_id, status, applied_at)"
        " SELECT offer_id, 1, merchant_id, 'applied', now() FROM enrolment",
        "UPDATE offer SET status = 'ended'",
        "INSERT INTO affiliate_group SELECT affiliate_id, 'gold', 1, now() FROM affiliate",
        "UPDATE affiliate SET referred_by = NULL",
        "SELECT * FROM api_key",
        "SELECT * FROM outbox",
        "DELETE FROM enrolment",
    ],
)
async def test_an_affiliates_role_cannot_approve_itself_even_by_sql(
    postgres: TestPostgres, network: Network, statement: str
) -> None:
    await network.affiliate.post(f"/v1/offers/{network.offer_id}/applications")
    database = Database(postgres.url("gateway"), role="gateway_api", pool_size=1)
    try:
        with pytest.raises(DBAPIError, match=r"row-level security|permission denied"):
            async with database.transaction(tenant=Tenant(affiliate_id=network.affiliate_id)) as session:
                await execute(session, statement)
    finally:
        await database.close()


async def test_writes_take_no_field_that_is_not_theirs(admin: GatewayClient, network: Network) -> None:
    for path, body in (
        ("/v1/merchants", {"name": "A", "status": "suspended"}),
        ("/v1/merchants", {"name": "A", "merchant_id": 1}),
        ("/v1/enrolments", {"offer_id": network.offer_id, "affiliate_id": network.affiliate_id, "status": "ended"}),
        (f"/v1/offers/{network.offer_id}/versions", {"version": 9, "terms": [percentage_term()]}),
    ):
        answer = await admin.post(path, body, expect=422)
        assert "extra_forbidden" in {error["code"] for error in answer["errors"]}
