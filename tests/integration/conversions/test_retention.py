"""Receipts and the click index expire; what was credited is settled all the same, long after they have."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from services.conversions.storage.retention_store import Limits, retention_step
from services.conversions.usecases.execute_erasures import execute_erasures
from shared.kernel.ids import new_id
from shared.runtime.clock import FileClock
from tests.conftest import TestPostgres
from tests.factories.conversions import MERCHANT, ConversionsService, running_conversions
from tests.integration.conversions.test_late_arrivals import index_click

STEP = retention_step(Limits(receipt_months=13, click_detail_days=400, unauthenticated_days=30))
LATER = timedelta(days=500)


@pytest_asyncio.fixture(loop_scope="session")
async def late(mortal_postgres: TestPostgres, tmp_path: Path) -> AsyncIterator[ConversionsService]:
    """The service on a database of its own, with a clock that can be set in `clock`."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    async with running_conversions(mortal_postgres.migrate("conversions"), tmp_path, clock_file=clock) as service:
        async with service.admin.transaction() as session:
            await session.execute(text("DELETE FROM receipt"))  # another test's, from another time
        yield service


async def sweep(service: ConversionsService, clock: Any) -> int:
    done = 0
    for _ in range(50):
        async with service.worker.transaction() as session:
            removed = await STEP(session, clock)
        if not removed:
            return done
        done += removed
    raise AssertionError("the sweep never ends")


async def count(service: ConversionsService, table: str) -> int:
    return int((await service.rows(f"SELECT count(*) AS n FROM {table}"))[0]["n"])


def id_of(instant: datetime) -> UUID:
    """A receipt's id of that time."""
    return UUID(bytes=int(instant.timestamp() * 1000).to_bytes(6, "big") + new_id().bytes[6:])


async def add_receipt(service: ConversionsService, *, made_at: datetime, received_at: datetime) -> UUID:
    receipt_id = id_of(made_at)
    async with service.admin.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO receipt (id, merchant_id, received_at, transport, request_id, http_status, outcome,"
                " duplicate, errors) VALUES (:id, 7, :at, 'query', 'r', 201, 100, false, '[]')"
            ),
            {"id": receipt_id, "at": received_at},
        )
    return receipt_id


@pytest.mark.asyncio(loop_scope="session")
async def test_a_sale_is_repeated_refunded_and_approved_long_after_its_click_and_receipts_are_gone(
    late: ConversionsService, tmp_path: Path
) -> None:
    offer_id = await late.publish()
    click_id = late.click_id(offer_id=offer_id)
    await index_click(late, click_id, offer_id)
    order = {"click_id": click_id, "order_id": late.order(), "amount": "100.00", "currency": "EUR"}
    first = (await late.postback(order)).json()
    await late.postback({"order_id": "x", "amount": "1"}, "query_token")  # refused, with a receipt
    await late.client.get("/postback?merchant_id=7&order_id=nobody&token=wrong")
    await late.api.desk.rejected.write()
    before = [await count(late, name) for name in ("receipt", "click_detail", "unauthenticated_postback")]

    (tmp_path / "clock").write_text(f"+{LATER.total_seconds():.0f}")
    clock = FileClock(tmp_path / "clock")
    await sweep(late, clock)
    left = [await count(late, name) for name in ("receipt", "click_detail", "unauthenticated_postback")]
    moment = clock.now().timestamp()
    again = await late.postback(order, at=moment)
    refund = {"order_id": order["order_id"], "adjustment_id": "r1", "amount": "40.00", "currency": "EUR"}
    refunded = await late.postback(refund, at=moment)
    late_sale = await late.postback(
        {**order, "click_id": late.click_id(offer_id=offer_id), "order_id": late.order()}, at=moment
    )
    headers = late.as_role("merchant", MERCHANT)
    approved = await late.client.post(f"/v1/conversions/{first['conversion_id']}/approve", headers=headers)

    assert min(before) > 0
    assert left == [0, 0, 0]
    assert again.json() == {**first, "duplicate": True}
    assert (refunded.status_code, refunded.json()["outcome"]["code"]) == (201, 110)
    assert (late_sale.status_code, late_sale.json()["outcome"]["name"]) == (201, "click_too_old")
    assert (approved.status_code, approved.json()["status"]) == (200, "approved")
    events = await late.events_of(first["conversion_id"])
    assert [event["change"] for event in events] == ["recorded", "adjusted", "approved"]
    assert events[0]["subs"] == {"sub1": "newsletter"}
    assert await count(late, "receipt") == 3


@pytest.mark.asyncio(loop_scope="session")
async def test_a_month_of_receipts_goes_and_whatever_is_younger_stays(late: ConversionsService, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    old = await add_receipt(
        late, made_at=datetime(2024, 1, 5, tzinfo=UTC), received_at=datetime(2024, 1, 5, tzinfo=UTC)
    )
    young = await add_receipt(late, made_at=datetime(2024, 2, 5, tzinfo=UTC), received_at=now)
    fresh = await add_receipt(late, made_at=now, received_at=now)

    await sweep(late, FileClock(tmp_path / "clock"))
    again = await sweep(late, FileClock(tmp_path / "clock"))

    rows = await late.rows("SELECT id, tableoid::regclass::text AS part FROM receipt ORDER BY id")
    found = {row["id"]: row["part"] for row in rows}
    assert old not in found
    assert found[young] == "receipt_2024_02"
    assert found[fresh] == f"receipt_{now:%Y_%m}"
    assert again == 0
    assert "receipt_other" not in found.values()


@pytest.mark.asyncio(loop_scope="session")
async def test_months_of_receipts_are_made_ahead_and_nobody_reads_one_past_its_table(
    late: ConversionsService, tmp_path: Path, mortal_postgres: TestPostgres
) -> None:
    await sweep(late, FileClock(tmp_path / "clock"))

    names = [
        row["name"]
        for row in await late.rows(
            "SELECT relname AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'receipt'::regclass ORDER BY relname"
        )
    ]
    assert (
        len([name for name in names if name >= f"receipt_{datetime.now(UTC):%Y_%m}" and name != "receipt_other"]) == 3
    )
    for role in ("conversions_api", "conversions_staff", "conversions_worker", "conversions_intake"):
        connection = await asyncpg.connect(mortal_postgres.admin_url("tributary_conversions"))
        await connection.execute(f"SET ROLE {role}")
        for name in names:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"SELECT 1 FROM {name}")
        await connection.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_kept_answers_are_kept_thirty_days(late: ConversionsService, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    async with late.admin.transaction() as session:
        for key, age in (("old", 31), ("young", 29)):
            await session.execute(
                text("INSERT INTO idempotency_key VALUES ('admin', :key, NULL, 'h', 200, 'a', :at)"),
                {"key": key, "at": now - timedelta(days=age)},
            )

    await sweep(late, FileClock(tmp_path / "clock"))

    assert [row["key"] for row in await late.rows("SELECT key FROM idempotency_key")] == ["young"]


async def test_a_customer_who_comes_back_long_after_an_erasure_is_erased_again(
    late: ConversionsService, tmp_path: Path
) -> None:
    async def erase() -> Any:
        body = {"merchant_id": MERCHANT, "customer_id": "C-7"}
        answer = (await late.client.post("/v1/erasures", json=body, headers=late.as_role("admin"))).json()
        for _ in range(5):
            async with late.worker.transaction() as session:
                await execute_erasures(session, FileClock(tmp_path / "clock"))
        return answer["id"]

    first = await erase()
    assert await erase() == first
    (tmp_path / "clock").write_text(f"+{int(LATER.total_seconds())}")
    await sweep(late, FileClock(tmp_path / "clock"))
    order = {"order_id": late.order(), "amount": "1.00", "currency": "EUR", "customer_id": "C-7"}
    recorded = await late.postback(order, "bearer")
    assert recorded.status_code == 201

    second = await erase()

    assert second != first
    assert await count(late, "conversion WHERE customer_id IS NOT NULL") == 0
