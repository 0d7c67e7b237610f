"""One order, several conversions: the one that is meant is found, and an adjustment id counts once for all of them."""

import asyncio
from typing import Any

import httpx

from tests.factories.conversions import MERCHANT, OTHER_MERCHANT, ConversionsService

EVENTS = [f"event_{number:02}" for number in range(12)]
REFUND = {
    "reason_code": "customer_return",
    "adjustment_id": "a1",
    "refund_amount": {"amount": "4.00", "currency": "EUR"},
}


async def report(conversions: ConversionsService, order_id: str, events: list[str]) -> list[str]:
    """Unattributed conversions of merchant 7, one an event, in order; gives their ids."""
    fields = {"order_id": order_id, "amount": "10.00", "currency": "EUR"}
    answers = [await conversions.postback({**fields, "event": event}) for event in events]
    assert {answer.status_code for answer in answers} == {201}
    return [str(answer.json()["conversion_id"]) for answer in answers]


async def reject(conversions: ConversionsService, ref: str, role: Any, party: int | None) -> httpx.Response:
    return await conversions.client.post(
        f"/v1/conversions/{ref}/reject", json={"reason_code": "fraud"}, headers=conversions.as_role(role, party)
    )


async def test_the_named_event_is_found_however_many_the_order_has(conversions: ConversionsService) -> None:
    order_id = conversions.order()
    ids = await report(conversions, order_id, EVENTS)

    last = await reject(conversions, f"order:{order_id}", "merchant", MERCHANT)
    named = await conversions.client.post(
        f"/v1/conversions/order:{order_id}/reject?event={EVENTS[-1]}",
        json={"reason_code": "fraud"},
        headers=conversions.as_role("merchant", MERCHANT),
    )

    assert (last.status_code, last.json()["errors"][0]["code"]) == (422, "event_ambiguous")
    assert (named.status_code, named.json()["id"], named.json()["status"]) == (200, ids[-1], "rejected")


async def test_an_order_id_that_two_merchants_use_is_never_guessed_for_an_admin(
    conversions: ConversionsService,
) -> None:
    order_id = conversions.order()
    await report(conversions, order_id, ["sale", *EVENTS])
    body = {"order_id": order_id, "amount": "10.00", "currency": "EUR"}
    foreign = await conversions.client.post(
        "/v1/conversions", json=body, headers=conversions.as_role("merchant", OTHER_MERCHANT)
    )
    assert foreign.status_code == 201

    response = await conversions.client.post(
        f"/v1/conversions/order:{order_id}/reject?event=sale",
        json={"reason_code": "fraud"},
        headers=conversions.as_role("admin"),
    )

    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "event_ambiguous")


async def test_one_adjustment_id_at_once_on_two_conversions_of_an_order_counts_once(
    conversions: ConversionsService,
) -> None:
    for _ in range(10):
        ids = await report(conversions, conversions.order(), ["sale", "upsell"])

        responses = await asyncio.gather(
            *(
                conversions.client.post(
                    f"/v1/conversions/{ref}/adjust", json=REFUND, headers=conversions.as_role("merchant", MERCHANT)
                )
                for ref in ids
            )
        )

        assert sorted(response.status_code for response in responses) == [200, 409]
        (refused,) = [response for response in responses if response.status_code == 409]
        assert refused.json()["code"] == "adjustment_conflict"
        versions = [len(await conversions.events_of(ref)) for ref in ids]
        assert sorted(versions) == [1, 2]
