"""Merchants' payments, what they are set against, and the marks that a prepaid balance goes past."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from services.commissions.usecases.recompute_ledger import recompute_acts
from services.commissions.usecases.record_payment import apply_prepaid
from services.commissions.usecases.verify_ledger import verify_ledger
from services.commissions.usecases.watch_prefunding import watch_prefunding
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions import conversion, euros, fresh_id, offer_version, tell_of_merchant
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.ledger import Desk, FixedClock, query
from tests.factories.payouts import tell_of_affiliate

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scene:
    """A merchant that the catalogue knows. A sale of 100.00 EUR costs it 12.00."""

    reader: Reader
    database: Database
    merchant_id: int
    desk: Desk
    offer_id: int

    async def pay(self, paid: str, by: str = "bank-1", **more: Any) -> Any:
        body = {
            "merchant_id": self.merchant_id,
            "amount": {"amount": paid, "currency": "EUR"},
            "received_on": "2026-11-23",
            "reference": by,
            **more,
        }
        return await self.reader.send("POST", "/v1/merchant-payments", body=body)

    async def sell(self, ordered: int = 10_000) -> None:
        await self.desk.convert(
            conversion(
                conversion_id=uuid4(), offer_id=self.offer_id, merchant_id=self.merchant_id, ordered=euros(ordered)
            )
        )

    async def balance(self) -> dict[str, str]:
        items = (await self.reader.get("/v1/balance", "merchant", merchant_id=self.merchant_id)).json()["items"]
        return {name: items[0][name]["amount"] for name in ("receivable", "prepaid")} if items else {}

    async def watch(self, low: str = "0.00", *, pause: bool = False) -> Any:
        body = {"low_balance": {"amount": low, "currency": "EUR"}, "pause_at_zero": pause}
        answer = await self.reader.send("PUT", "/v1/prefunding", "merchant", body, merchant_id=self.merchant_id)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def sweep(self) -> None:
        async with self.database.transaction() as session:
            await watch_prefunding(session, FixedClock(NOW))

    async def told(self) -> list[tuple[str, str, int]]:
        rows = await query(
            self.database,
            "SELECT convert_from(payload, 'UTF8') FROM outbox WHERE topic = 'commissions.v1' AND key = $1 ORDER BY id",
            f"merchant:{self.merchant_id}:EUR".encode(),
        )
        events = [msgspec.json.decode(str(payload)) for (payload,) in rows]
        return [(each["state"], str(each["available"]["amount_minor"]), each["version"]) for each in events]


@pytest_asyncio.fixture(loop_scope="session")
async def scene(postgres: TestPostgres, worker_database: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    clock_file = tmp_path / "clock"
    clock_file.write_text(NOW.isoformat())
    desk, merchant_id, offer_id = Desk(worker_database), fresh_id(), fresh_id()
    await desk.publish(offer_version(offer_id))
    await tell_of_merchant(worker_database, merchant_id)
    async with commissions_api(postgres.migrate("commissions"), tmp_path, clock_file=clock_file) as reader:
        yield Scene(reader, worker_database, merchant_id, desk, offer_id)


async def test_a_payment_is_prepaid_and_settles_what_is_owed(scene: Scene) -> None:
    await scene.sell()
    assert await scene.balance() == {"receivable": "12.00", "prepaid": "0.00"}

    paid = await scene.pay("50.00")

    assert paid.status_code == 201, paid.text
    assert (paid.json()["amount"]["amount"], paid.json()["reverses"]) == ("50.00", None)
    assert await scene.balance() == {"receivable": "0.00", "prepaid": "-38.00"}
    async with scene.database.transaction() as session:
        await verify_ledger(session)
        assert await recompute_acts(session) >= 2
    listed = await scene.reader.get("/v1/merchant-payments", "merchant", merchant_id=scene.merchant_id)
    assert [item["payment_id"] for item in listed.json()["items"]] == [paid.json()["payment_id"]]


async def test_the_same_payment_is_recorded_once(scene: Scene) -> None:
    await scene.pay("50.00")

    again = await scene.pay("50.00")

    assert (again.status_code, again.json()["code"]) == (409, "payment_known")
    assert await scene.balance() == {"receivable": "0.00", "prepaid": "-50.00"}
    assert (await scene.pay("50.00", "bank-2")).status_code == 201


async def test_payments_sales_and_takings_back_at_once_are_each_booked_once(scene: Scene) -> None:
    await scene.sell()
    first = (await scene.pay("1.00", "bank-0")).json()["payment_id"]
    path, why = f"/v1/merchant-payments/{first}/take-back", {"reason_code": "returned_by_bank"}

    paid, back, _ = await asyncio.gather(
        asyncio.gather(*(scene.pay("10.00", f"bank-{n}") for n in (1, 2, 3, 3))),
        asyncio.gather(*(scene.reader.send("POST", path, body=why) for _ in range(2))),
        asyncio.gather(*(scene.sell() for _ in range(3))),
    )

    assert sorted(answer.status_code for answer in paid) == [201, 201, 201, 409]
    assert sorted(answer.status_code for answer in back) == [201, 409]
    standing = await scene.balance()
    assert Decimal(standing["receivable"]) + Decimal(standing["prepaid"]) == 4 * 12 - 30
    async with scene.database.transaction() as session:
        await verify_ledger(session)


async def test_a_payment_taken_back_is_an_opposite_posting_once(scene: Scene) -> None:
    await scene.sell()
    payment_id = (await scene.pay("50.00")).json()["payment_id"]
    path, why = f"/v1/merchant-payments/{payment_id}/take-back", {"reason_code": "returned_by_bank"}

    back = await scene.reader.send("POST", path, body=why)

    assert back.status_code == 201, back.text
    assert (back.json()["amount"]["amount"], back.json()["reverses"]) == ("-50.00", payment_id)
    assert await scene.balance() == {"receivable": "0.00", "prepaid": "12.00"}
    again = await scene.reader.send("POST", path, body=why)
    assert (again.status_code, again.json()["code"]) == (409, "payment_taken_back")
    of_it = f"/v1/merchant-payments/{back.json()['payment_id']}/take-back"
    assert (await scene.reader.send("POST", of_it, body=why)).status_code == 409
    unknown = await scene.reader.send("POST", f"/v1/merchant-payments/{uuid4()}/take-back", body=why)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "payment_not_found")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": {"amount": "0.00", "currency": "EUR"}}, "amount.amount"),
        ({"amount": {"amount": "1.005", "currency": "EUR"}}, "amount.amount"),
        ({"reference": "from jo@mail.example"}, "reference"),
        ({"received_on": "yesterday"}, "received_on"),
    ],
)
async def test_a_payment_without_sense_is_refused(scene: Scene, changes: dict[str, Any], field: str) -> None:
    answer = await scene.pay("50.00", **changes)

    assert answer.status_code == 422
    assert field in answer.text
    assert await scene.balance() == {}


async def test_only_finance_records_and_a_merchant_reads_its_own(scene: Scene) -> None:
    await scene.pay("50.00")
    await scene.watch()
    stranger, own = fresh_id(), scene.merchant_id

    refused = await scene.reader.send("POST", "/v1/merchant-payments", "merchant", {}, merchant_id=scene.merchant_id)
    assert refused.status_code == 403
    assert (await scene.pay("1.00", merchant_id=fresh_id())).status_code == 404
    for path in ("/v1/merchant-payments", "/v1/prefunding"):
        assert (await scene.reader.get(path, "merchant", merchant_id=stranger)).json()["items"] == []
        foreign = await scene.reader.get(path, "merchant", merchant_id=stranger, merchant_id_=own)
        assert foreign.status_code == 404
        assert (await scene.reader.get(path, "affiliate", affiliate_id=5)).status_code == 403
    body = {"low_balance": {"amount": "1.00", "currency": "EUR"}, "pause_at_zero": False}
    foreign = await scene.reader.send("PUT", "/v1/prefunding", "merchant", body, merchant_id=stranger, merchant_id_=own)
    assert foreign.status_code == 404


async def test_a_balance_that_goes_past_a_mark_is_told_once_each_time(scene: Scene) -> None:
    await scene.pay("30.00")
    asked = await scene.watch("20.00", pause=True)
    assert (asked["state"], asked["available"]["amount"]) == ("ok", "30.00")

    await scene.sell()
    for _ in range(2):
        await scene.sweep()
    await scene.sell()
    await scene.sell()
    await scene.sweep()
    await scene.pay("100.00", "bank-2")
    await scene.sweep()

    assert await scene.told() == [("ok", "3000", 1), ("low", "1800", 2), ("exhausted", "-600", 3), ("ok", "9400", 4)]
    [item] = (await scene.reader.get("/v1/prefunding", "finance", merchant_id_=scene.merchant_id)).json()["items"]
    assert (item["state"], item["available"]["amount"], item["pause_at_zero"]) == ("ok", "94.00", True)


async def test_two_sweeps_at_once_count_a_posting_once(scene: Scene) -> None:
    await scene.pay("30.00")
    await scene.watch()
    await scene.sell()

    async with scene.database.transaction() as first, scene.database.transaction() as second:
        await watch_prefunding(first, FixedClock(NOW))
        await watch_prefunding(second, FixedClock(NOW))
    await scene.sweep()

    [item] = (await scene.reader.get("/v1/prefunding", "merchant", merchant_id=scene.merchant_id)).json()["items"]
    assert item["available"]["amount"] == "18.00"


async def test_a_closing_month_settles_what_was_charged_from_what_is_prepaid(scene: Scene) -> None:
    await scene.pay("30.00")
    await scene.sell()
    assert await scene.balance() == {"receivable": "12.00", "prepaid": "-30.00"}

    for expected in ({"receivable": "0.00", "prepaid": "-18.00"},) * 2:
        async with scene.database.transaction() as session:
            await apply_prepaid(session, now=NOW)
        assert await scene.balance() == expected


async def test_a_bonus_is_charged_to_its_merchant_or_paid_by_the_network(scene: Scene) -> None:
    affiliate_id = fresh_id()
    await tell_of_affiliate(scene.database, affiliate_id)
    bonus = {
        "affiliate_id": affiliate_id,
        "merchant_id": scene.merchant_id,
        "amount": {"amount": "50.00", "currency": "EUR"},
        "reason_code": "goal_reached",
        "hold_days": 14,
    }

    granted = await scene.reader.send("POST", "/v1/bonuses", body=bonus, idempotency_key="goal-1")
    again = await scene.reader.send("POST", "/v1/bonuses", body=bonus, idempotency_key="goal-1")
    own = await scene.reader.send("POST", "/v1/bonuses", body={**bonus, "merchant_id": None, "hold_days": 0})

    assert granted.status_code == 201, granted.text
    assert again.json() == granted.json()
    assert own.status_code == 201
    assert await scene.balance() == {"receivable": "50.00", "prepaid": "0.00"}
    [item] = (await scene.reader.get("/v1/balance", "affiliate", affiliate_id=affiliate_id)).json()["items"]
    assert (item["approved"]["amount"], item["payable"]["amount"]) == ("50.00", "50.00")
    for changes, status in (
        ({"amount": {"amount": "0.00", "currency": "EUR"}}, 422),
        ({"affiliate_id": fresh_id()}, 404),
        ({"merchant_id": fresh_id()}, 404),
        ({"reason_code": "Because"}, 422),
    ):
        refused = await scene.reader.send("POST", "/v1/bonuses", body={**bonus, **changes})
        assert refused.status_code == status, refused.text
    for role, tenant in (
        ("merchant", {"merchant_id": scene.merchant_id}),
        ("affiliate", {"affiliate_id": affiliate_id}),
    ):
        refused = await scene.reader.send("POST", "/v1/bonuses", role, bonus, **tenant)  # type: ignore[arg-type]
        assert refused.status_code == 403
