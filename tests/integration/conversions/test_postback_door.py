"""The postback door on a real PostgreSQL: taken once, answered after the commit, a receipt for everybody known."""

import pytest

from tests.factories.conversions import ConversionsService, Way

WAYS: tuple[Way, ...] = ("query", "form", "json", "query_token", "form_token", "json_token", "bearer")


@pytest.mark.parametrize("way", WAYS)
async def test_a_sale_is_attributed_by_its_click_id(conversions: ConversionsService, way: Way) -> None:
    offer_id = await conversions.publish()
    click_id = conversions.click_id(offer_id=offer_id)
    sale = {"click_id": click_id, "order_id": conversions.order(), "amount": "12.34", "currency": "EUR"}

    response = await conversions.postback(sale, way)

    assert response.status_code == 201, response.text
    answer = response.json()
    assert answer["outcome"] == {"code": 100, "name": "recorded"}
    assert answer["status"] == "pending"
    assert answer["duplicate"] is False
    (event,) = await conversions.events_of(answer["conversion_id"])
    assert event["status"] == "pending"
    assert event["net_amount"] == {"amount_minor": 1234, "currency": "EUR"}
    assert event["affiliate_id"] == 11
