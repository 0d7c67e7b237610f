"""Bundles of valid clicks become conversions, each once, credited without a click ID."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.conversions.consumers.billable_clicks import BillableClicksHandler
from services.conversions.usecases.approve_validated import approve_validated
from services.conversions.usecases.attribute_waiting import attribute_waiting
from shared.contracts.catalogue import MoneyV1, TermV1
from shared.contracts.clicks import BillableClicksSettledV1
from shared.contracts.events import EventUndecodable, encode_event
from shared.contracts.topics import BILLABLE_CLICKS
from shared.kernel.ids import new_id
from shared.runtime.event_log.interface import Received
from tests.factories.conversions import AFFILIATE, MERCHANT, OTHER_MERCHANT, SALE, ConversionsService, free_offer_id
from tests.integration.conversions.test_late_arrivals import ClockAt, sale, step

CLICK = TermV1(
    event="click",
    kind="flat",
    flat_amount=MoneyV1(amount_minor=5, currency="EUR"),
    margin_amount=MoneyV1(amount_minor=1, currency="EUR"),
)
HOUR_AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
SETTLED_AT = datetime(2026, 11, 24, 9, 15, 1, tzinfo=UTC)


def bundle(offer_id: int, **overrides: Any) -> BillableClicksSettledV1:
    known: dict[str, Any] = {
        "event_id": new_id(),
        "occurred_at": SETTLED_AT,
        "offer_id": offer_id,
        "offer_version": 1,
        "affiliate_id": AFFILIATE,
        "merchant_id": MERCHANT,
        "hour_at": HOUR_AT,
        "part": 1,
        "quantity": 212,
    }
    return BillableClicksSettledV1(**(known | overrides))


async def consume(service: ConversionsService, *bundles: BillableClicksSettledV1) -> None:
    batch = [Received(BILLABLE_CLICKS, 0, n, None, encode_event(event)) for n, event in enumerate(bundles)]
    async with service.worker.transaction() as session:
        await BillableClicksHandler(ClockAt(datetime.now(UTC)))(session, batch)


async def recorded(service: ConversionsService, offer_id: int) -> list[Any]:
    return await service.rows(
        "SELECT id::text, facts, status FROM conversion WHERE offer_id = :id ORDER BY dedupe_key", id=offer_id
    )


async def test_a_bundle_is_a_conversion_with_its_quantity(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish(terms=[SALE, CLICK], validation_days=2)

    await consume(conversions, bundle(offer_id))

    (row,) = await recorded(conversions, offer_id)
    (event,) = await conversions.events_of(row["id"])
    assert {
        name: event.get(name)
        for name in ("status", "conversion_event", "quantity", "attributed_by", "affiliate_id", "offer_version")
    } == {
        "status": "pending",
        "conversion_event": "click",
        "quantity": 212,
        "attributed_by": "billable_clicks",
        "affiliate_id": AFFILIATE,
        "offer_version": 1,
    }
    assert "click_id" not in event
    assert datetime.fromisoformat(event["clicked_at"]) == HOUR_AT
    shown = await conversions.client.get(
        f"/v1/conversions/{row['id']}", headers=conversions.as_role("affiliate", AFFILIATE)
    )
    assert (shown.json()["quantity"], shown.json()["order_amount"]) == (212, None)
    trail = await conversions.client.get(
        f"/v1/conversions/{row['id']}/trail", headers=conversions.as_role("merchant", MERCHANT)
    )
    assert trail.json()["items"][0]["steps"][0]["verdict"] == "won"


async def test_whatever_comes_when_and_how_often_each_is_recorded_once(conversions: ConversionsService) -> None:
    for order in permutations(range(3)):
        offer_id = await conversions.publish(terms=[CLICK])
        bundles = [bundle(offer_id), bundle(offer_id, part=2, quantity=1), bundle(offer_id, affiliate_id=12)]

        for number in order:
            await consume(conversions, bundles[number], bundles[number])
        await consume(conversions, *bundles)

        rows = await recorded(conversions, offer_id)
        assert sorted(row["facts"].get("quantity", 1) for row in rows) == [1, 212, 212]
        for row in rows:
            assert len(await conversions.events_of(row["id"])) == 1


async def test_it_is_approved_after_the_validation_days_and_can_be_reversed(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish(terms=[CLICK], validation_days=1)
    await consume(conversions, bundle(offer_id))
    (row,) = await recorded(conversions, offer_id)

    while await step(conversions, approve_validated, SETTLED_AT + timedelta(days=1)):
        pass
    reversed_ = await conversions.client.post(
        f"/v1/conversions/{row['id']}/reverse",
        json={"reason_code": "fraud"},
        headers=conversions.as_role("merchant", MERCHANT),
    )

    assert reversed_.status_code == 200, reversed_.text
    events = await conversions.events_of(row["id"])
    assert [event["status"] for event in events] == ["pending", "approved", "reversed"]
    assert {event["quantity"] for event in events} == {212}


@pytest.mark.parametrize(
    ("version", "status", "code"),
    [
        ({"terms": [CLICK]}, "pending", 100),
        ({"terms": [SALE]}, "rejected", 207),
        ({"terms": [CLICK], "merchant_id": OTHER_MERCHANT}, "rejected", 209),
    ],
)
async def test_it_waits_for_its_offer_version(
    conversions: ConversionsService, version: dict[str, Any], status: str, code: int
) -> None:
    offer_id = free_offer_id()
    await consume(conversions, bundle(offer_id))
    (row,) = await recorded(conversions, offer_id)
    await conversions.publish(offer_id=offer_id, **version)

    while await step(conversions, attribute_waiting):
        pass

    first, second = await conversions.events_of(row["id"])
    assert first["status"] == "waiting"
    assert (second["status"], second["outcome_code"], second["quantity"]) == (status, code, 212)


async def test_nobody_can_report_a_valid_click(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish(terms=[SALE, CLICK])
    reported = sale(conversions, conversions.click_id(offer_id=offer_id), event="click")

    answer = await conversions.postback(reported)

    assert (answer.json()["status"], answer.json()["outcome"]["code"]) == ("rejected", 207)


@pytest.mark.parametrize("wrong", [{"quantity": 0}, {"part": 0}])
async def test_what_is_no_bundle_is_never_recorded(conversions: ConversionsService, wrong: dict[str, int]) -> None:
    with pytest.raises(EventUndecodable):
        await consume(conversions, bundle(await conversions.publish(terms=[CLICK]), **wrong))
