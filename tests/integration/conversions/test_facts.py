"""Facts of an order reach the event, the row and the merchant, whatever way they come, and outlive an erasure."""

import json
from typing import Any

import pytest

from services.conversions.domain.postback import parse_postback
from tests.factories.conversions import AFFILIATE, MERCHANT, ConversionsService, Way
from tests.integration.conversions.test_erasure import erase, execute
from tests.integration.conversions.test_postback_door import WAYS, sale_of

LINES = [{"sku": "A-1", "category": "shoes", "quantity": 2, "amount": "10.00"}, {"sku": "B", "amount": "2.34"}]
FACTS = {
    "country": "de",
    "tax": "1.97",
    "shipping": "3.00",
    "discount": "0.50",
    "coupon": "AUTUMN",
    "customer_status": "Returning",
}
NAMES = ["country", "tax", "shipping", "discount", "coupon", "customer_status", "items"]


def euros(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "EUR"}


TOLD = {
    "country": "DE",
    "tax": euros(197),
    "shipping": euros(300),
    "discount": euros(50),
    "coupon": "AUTUMN",
    "customer_status": "returning",
    "items": [
        {"sku": "A-1", "category": "shoes", "quantity": 2, "amount": euros(1000)},
        {"sku": "B", "amount": euros(234)},
    ],
}


async def sale_with_facts(service: ConversionsService, *, as_text: bool = True, **more: Any) -> dict[str, Any]:
    items = json.dumps(LINES) if as_text else LINES
    return await sale_of(service, await service.publish(), **FACTS, items=items, **more)


def facts_in(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in NAMES if name in event}


@pytest.mark.parametrize("way", WAYS)
async def test_they_are_on_the_event_whatever_way_they_came(conversions: ConversionsService, way: Way) -> None:
    response = await conversions.postback(await sale_with_facts(conversions, as_text="json" not in way), way)

    assert response.status_code == 201, response.text
    (event,) = await conversions.events_of(response.json()["conversion_id"])
    assert facts_in(event) == TOLD


async def test_every_later_version_carries_them_and_the_merchant_reads_them(conversions: ConversionsService) -> None:
    merchant = conversions.as_role("merchant", MERCHANT)
    sale = await sale_with_facts(conversions, as_text=False)

    reported = await conversions.client.post("/v1/conversions", json=sale, headers=merchant)
    conversion_id = reported.json()["conversion_id"]
    approved = await conversions.client.post(f"/v1/conversions/{conversion_id}/approve", headers=merchant)
    hidden = await conversions.client.get(
        f"/v1/conversions/{conversion_id}", headers=conversions.as_role("affiliate", AFFILIATE)
    )

    first, second = await conversions.events_of(conversion_id)
    assert facts_in(first) == facts_in(second) == TOLD
    shown = approved.json()
    assert (shown["country"], shown["customer_status"]) == ("DE", "Returning")
    assert shown["tax"] == {"amount": "1.97", "currency": "EUR"}
    assert [item["sku"] for item in shown["items"]] == ["A-1", "B"]
    assert [hidden.json()[name] for name in NAMES] == [None, None, None, None, None, None, []]


async def test_an_order_that_says_nothing_has_an_event_as_before(conversions: ConversionsService) -> None:
    sale = await sale_of(conversions, await conversions.publish())

    answer = (await conversions.postback(sale)).json()

    (event,) = await conversions.events_of(answer["conversion_id"])
    assert facts_in(event) == {}
    assert (await conversions.postback(sale)).json() == answer | {"duplicate": True}


@pytest.mark.parametrize("name", ["country", "tax", "shipping", "discount"])
async def test_the_field_that_is_wrong_is_named_and_the_mended_order_may_follow(
    conversions: ConversionsService, name: str
) -> None:
    sale = await sale_with_facts(conversions)

    refused = await conversions.postback(sale | {name: "99999"})
    mended = await conversions.postback(sale)

    assert (refused.status_code, mended.status_code) == (422, 201)
    assert [error["field"] for error in refused.json()["errors"]] == [name]


async def test_the_same_order_with_another_fact_is_a_conflict(conversions: ConversionsService) -> None:
    sale = await sale_with_facts(conversions)
    await conversions.postback(sale)

    assert (await conversions.postback(sale)).status_code == 200
    assert (await conversions.postback(sale | {"tax": "1.98"})).status_code == 409
    assert (await conversions.postback(sale | {"country": "AT"})).status_code == 409


async def test_a_repeat_of_an_order_recorded_before_there_were_facts_is_answered_as_the_first(
    conversions: ConversionsService,
) -> None:
    """Its merchant sent `tax` and `country` even then: unknown fields, which were no content."""
    sale = await sale_with_facts(conversions)
    first = (await conversions.postback(sale)).json()
    report = parse_postback(sale, MERCHANT)
    await conversions.rows(
        "UPDATE conversion SET facts = NULL, content_hash = :hash WHERE id = CAST(:id AS uuid) RETURNING id",
        id=first["conversion_id"],
        hash=report.content_hash(with_facts=False),
    )

    repeat = await conversions.postback(sale)
    other = await conversions.postback(sale | {"amount": "12.00"})

    assert repeat.json() == first | {"duplicate": True}
    assert other.status_code == 409


async def test_a_click_added_to_an_order_of_before_is_answered_again(conversions: ConversionsService) -> None:
    sale = await sale_with_facts(conversions)
    clickless = {name: value for name, value in sale.items() if name != "click_id"}
    first = (await conversions.postback(clickless)).json()
    hashed = parse_postback(clickless, MERCHANT).content_hash(with_facts=False)
    await conversions.rows(
        "UPDATE conversion SET facts = NULL, content_hash = :hash, clickless_hash = :hash"
        " WHERE id = CAST(:id AS uuid) RETURNING id",
        id=first["conversion_id"],
        hash=hashed,
    )

    added, again = (await conversions.postback(sale)).json(), (await conversions.postback(sale)).json()

    assert (added["conversion_id"], added["status"]) == (first["conversion_id"], "pending")
    assert again == added | {"duplicate": True}


async def test_an_erasure_takes_what_the_merchant_wrote_and_leaves_what_priced_it(
    conversions: ConversionsService,
) -> None:
    customer = conversions.order()
    sale = await sale_with_facts(conversions, customer_id=customer)
    conversion_id = (await conversions.postback(sale)).json()["conversion_id"]

    await erase(conversions, merchant_id=MERCHANT, customer_id=customer)
    await execute(conversions)
    merchant = conversions.as_role("merchant", MERCHANT)
    await conversions.client.post(f"/v1/conversions/{conversion_id}/approve", headers=merchant)

    (row,) = await conversions.rows("SELECT * FROM conversion WHERE id = CAST(:id AS uuid)", id=conversion_id)
    assert (row["customer_id"], row["customer_status"], row["items"]) == (None, None, None)
    assert facts_in((await conversions.events_of(conversion_id))[-1]) == TOLD
