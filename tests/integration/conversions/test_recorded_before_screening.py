"""What was recorded before values were screened: repeats, refunds and erasures find it."""

from typing import Any

import pytest

from services.conversions.domain.postback import parse_postback
from shared.kernel.ids import new_id
from tests.factories.conversions import MERCHANT, ConversionsService
from tests.integration.conversions.test_erasure import conversion, erase, execute
from tests.integration.conversions.test_late_arrivals import sale


async def record_as_before(service: ConversionsService, fields: dict[str, Any]) -> dict[str, Any]:
    """Record `fields`, then bring the row to what it was when nothing was screened; gives the first answer."""
    first: dict[str, Any] = (await service.postback(fields)).json()
    report = parse_postback(fields, MERCHANT)
    await service.rows(
        "UPDATE conversion SET order_id = CAST(:order_id AS text), coupon = :coupon, customer_id = :customer_id,"
        " dedupe_key = coalesce('o:' || CAST(:order_id AS text), dedupe_key), content_hash = :hash,"
        " clickless_hash = :clickless WHERE id = CAST(:id AS uuid) RETURNING id",
        id=first["conversion_id"],
        order_id=report.order_id,
        coupon=report.coupon,
        customer_id=report.customer_id,
        hash=report.content_hash(),
        clickless=report.content_hash(with_click_id=False),
    )
    return first


async def refund_as_before(service: ConversionsService, fields: dict[str, Any]) -> dict[str, Any]:
    """The same of a refund of such an order."""
    first: dict[str, Any] = (await service.postback(fields)).json()
    report = parse_postback(fields, MERCHANT)
    await service.rows(
        "UPDATE adjustment SET adjustment_id = :adjustment_id, content_hash = :hash"
        " WHERE receipt_id = CAST(:id AS uuid) RETURNING adjustment_id",
        id=first["receipt_id"],
        adjustment_id=report.adjustment_id,
        hash=report.content_hash(),
    )
    return first


def mail() -> str:
    return f"{new_id().hex[-12:]}@mail.test"


def refund(order_id: str, adjustment_id: str) -> dict[str, Any]:
    return {"order_id": order_id, "adjustment_id": adjustment_id, "amount": "1.00", "currency": "EUR"}


@pytest.mark.parametrize("field", ["order_id", "customer_id", "coupon", "sub1", "customer_status"])
async def test_a_repeat_is_answered_as_the_first(conversions: ConversionsService, field: str) -> None:
    offer_id = await conversions.publish()
    order = sale(conversions, conversions.click_id(offer_id=offer_id), **{field: mail()})
    first = await record_as_before(conversions, order)

    repeat = await conversions.postback(order)
    other = await conversions.postback(order | {"amount": "11.00"})

    assert repeat.json() == {**first, "duplicate": True}
    assert other.status_code == 409
    assert other.json()["code"] == "conflict"


async def test_one_without_an_order_id_is_known_by_its_click(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    order = sale(conversions, conversions.click_id(offer_id=offer_id), order_id="", customer_id=mail())
    first = await record_as_before(conversions, order)

    assert (await conversions.postback(order)).json() == {**first, "duplicate": True}


async def test_a_click_is_added_to_it_once(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    click_id = conversions.click_id(offer_id=offer_id)
    order = sale(conversions, click_id, order_id=mail(), customer_id=mail())
    clickless = {name: value for name, value in order.items() if name != "click_id"}
    first = await record_as_before(conversions, clickless)

    added, again = (await conversions.postback(order)).json(), (await conversions.postback(order)).json()

    assert (added["conversion_id"], added["status"]) == (first["conversion_id"], "pending")
    assert again == {**added, "duplicate": True}


async def test_a_refund_finds_its_order_and_counts_once(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    order = sale(conversions, conversions.click_id(offer_id=offer_id), order_id=mail())
    sold = await record_as_before(conversions, order)
    first = await refund_as_before(conversions, refund(order["order_id"], mail_id := mail()))

    repeat = (await conversions.postback(refund(order["order_id"], mail_id))).json()
    another = refund(order["order_id"], mail())
    new, new_again = [(await conversions.postback(another)).json() for _ in range(2)]

    row = await conversion(conversions, sold["conversion_id"])
    assert repeat == {**first, "duplicate": True}
    assert (new["duplicate"], new_again["duplicate"]) == (False, True)
    assert (first["conversion_id"], new["conversion_id"]) == (sold["conversion_id"],) * 2
    assert row["net_amount_minor"] == 800


async def test_it_is_found_by_its_order_id(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    order = sale(conversions, conversions.click_id(offer_id=offer_id), order_id=mail())
    first = await record_as_before(conversions, order)
    merchant = conversions.as_role("merchant", MERCHANT)

    listed = await conversions.client.get("/v1/conversions", params={"order_id": order["order_id"]}, headers=merchant)
    approved = await conversions.client.post(f"/v1/conversions/order:{order['order_id']}/approve", headers=merchant)

    assert [item["id"] for item in listed.json()["items"]] == [first["conversion_id"]]
    assert approved.json()["id"] == first["conversion_id"]


async def test_its_customer_is_erased(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    order = sale(conversions, conversions.click_id(offer_id=offer_id), customer_id=(customer := mail()))
    first = await record_as_before(conversions, order)

    await erase(conversions, merchant_id=MERCHANT, customer_id=customer)
    await execute(conversions)

    assert (await conversion(conversions, first["conversion_id"]))["customer_id"] is None
    assert (await conversions.postback(order)).json() == {**first, "duplicate": True}
