"""Out of order: the offer version after the conversion, the click's record after or before it, time passing."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.conversions.consumers.click_index import ClickIndexHandler
from services.conversions.usecases.add_click_details import add_missed_details
from services.conversions.usecases.approve_validated import approve_validated
from services.conversions.usecases.attribute_waiting import attribute_waiting
from shared.contracts.clicks import ClickRecordedV1
from shared.contracts.events import EventUndecodable, encode_event
from shared.contracts.topics import CLICKS
from shared.kernel.ids import new_id
from shared.runtime.event_log.interface import Received
from tests.factories.conversions import AFFILIATE, MERCHANT, OTHER_MERCHANT, ConversionsService, free_offer_id


@dataclass(frozen=True)
class ClockAt:
    instant: datetime

    def now(self) -> datetime:
        return self.instant


async def step(service: ConversionsService, usecase: Any, at: datetime | None = None) -> int:
    async with service.worker.transaction() as session:
        return int(await usecase(session, ClockAt(at or datetime.now(UTC))))


async def index_click(service: ConversionsService, click_id: str, offer_id: int) -> None:
    event = ClickRecordedV1(
        event_id=new_id(),
        occurred_at=datetime.now(UTC),
        click_id=click_id,
        offer_id=offer_id,
        offer_version=1,
        affiliate_id=AFFILIATE,
        merchant_id=MERCHANT,
        subs={"sub1": "newsletter"},
        aff_click_id="x1",
    )
    received = Received(CLICKS, 0, 0, None, encode_event(event))
    async with service.worker.transaction() as session:
        await ClickIndexHandler(ClockAt(datetime.now(UTC)))(session, [received, received])


def sale(service: ConversionsService, click_id: str, **overrides: Any) -> dict[str, Any]:
    return {"click_id": click_id, "order_id": service.order(), "amount": "10.00", "currency": "EUR"} | overrides


@pytest.mark.parametrize(
    ("version", "clicked_before_seconds", "fields", "status", "code"),
    [
        ({}, 5, {}, "pending", 100),
        ({"window_max_seconds": 100}, 101, {}, "rejected", 201),
        ({"merchant_id": OTHER_MERCHANT}, 5, {}, "rejected", 209),
        ({}, 5, {"event": "install"}, "rejected", 207),
        ({}, 5, {"amount": "", "currency": ""}, "rejected", 208),
    ],
)
async def test_it_waits_for_its_offer_version_and_is_judged_as_of_its_receipt(
    conversions: ConversionsService,
    version: dict[str, Any],
    clicked_before_seconds: int,
    fields: dict[str, Any],
    status: str,
    code: int,
) -> None:
    offer_id = free_offer_id()
    clicked_at = datetime.now(UTC) - timedelta(seconds=clicked_before_seconds)
    postback = sale(conversions, conversions.click_id(offer_id=offer_id, clicked_at=clicked_at), **fields)

    first = await conversions.postback(postback)
    await conversions.publish(offer_id=offer_id, **version)
    much_later = datetime.now(UTC) + timedelta(days=200)
    await step(conversions, attribute_waiting, much_later)
    await step(conversions, attribute_waiting, much_later)

    assert (first.status_code, first.json()["status"], first.json()["outcome"]["code"]) == (201, "waiting", 101)
    events = await conversions.events_of(first.json()["conversion_id"])
    assert [(e["version"], e["status"]) for e in events] == [(1, "waiting"), (2, status)]
    assert events[1]["outcome_code"] == code
    again = await conversions.postback(postback)
    assert again.json() == first.json() | {"duplicate": True}


async def test_the_clicks_record_before_the_postback_is_in_the_first_version(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    click_id = conversions.click_id(offer_id=offer_id)

    await index_click(conversions, click_id, offer_id)
    answer = (await conversions.postback(sale(conversions, click_id))).json()

    (event,) = await conversions.events_of(answer["conversion_id"])
    assert (event["subs"], event["aff_click_id"]) == ({"sub1": "newsletter"}, "x1")


async def test_the_clicks_record_after_it_adds_sub_ids_and_no_money(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    click_id = conversions.click_id(offer_id=offer_id)

    answer = (await conversions.postback(sale(conversions, click_id))).json()
    await index_click(conversions, click_id, offer_id)
    await index_click(conversions, click_id, offer_id)

    first, second = await conversions.events_of(answer["conversion_id"])
    assert (second["change"], second["subs"]) == ("click_details_added", {"sub1": "newsletter"})
    changing = {"event_id", "occurred_at", "version", "change", "subs", "aff_click_id"}
    assert {k: v for k, v in second.items() if k not in changing} == {
        k: v for k, v in first.items() if k not in changing
    }


async def test_a_click_that_cannot_be_read_is_for_the_dead_letters(conversions: ConversionsService) -> None:
    received = Received(CLICKS, 0, 0, None, b'{"type":"click_recorded"}')

    with pytest.raises(EventUndecodable):
        async with conversions.worker.transaction() as session:
            await ClickIndexHandler(ClockAt(datetime.now(UTC)))(session, [received])


async def test_validation_days_approve_at_their_end_and_not_before(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish(validation_days=400)
    answer = (await conversions.postback(sale(conversions, conversions.click_id(offer_id=offer_id)))).json()
    (row,) = await conversions.rows("SELECT approve_at FROM conversion WHERE id = :id", id=answer["conversion_id"])

    await step(conversions, approve_validated, row["approve_at"] - timedelta(milliseconds=1))
    before = await conversions.events_of(answer["conversion_id"])
    await step(conversions, approve_validated, row["approve_at"])
    after = await conversions.events_of(answer["conversion_id"])

    assert [e["status"] for e in before] == ["pending"]
    assert [(e["status"], e.get("reason_code")) for e in after] == [
        ("pending", None),
        ("approved", "validation_passed"),
    ]


async def test_two_sweeps_at_once_approve_each_once(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish(validation_days=0)
    made = [
        (await conversions.postback(sale(conversions, conversions.click_id(offer_id=offer_id)))).json()["conversion_id"]
        for _ in range(10)
    ]

    await asyncio.gather(*(step(conversions, approve_validated) for _ in range(2)))
    await step(conversions, approve_validated)

    for conversion_id in made:
        assert [e["version"] for e in await conversions.events_of(conversion_id)] == [1, 2]


@pytest.mark.parametrize("order", list(permutations(["click", "version", "postback", "approve", "refund"])))
async def test_any_order_of_arrival_ends_in_the_same_state(
    conversions: ConversionsService, order: tuple[str, ...]
) -> None:
    """What came too early is repeated at the end, as merchants' systems do."""
    offer_id = free_offer_id()
    click_id = conversions.click_id(offer_id=offer_id)
    postback = sale(conversions, click_id)
    refund = {"order_id": postback["order_id"], "adjustment_id": "r1", "amount": "4.00", "currency": "EUR"}
    merchant = conversions.as_role("merchant", MERCHANT)

    async def arrive(what: str) -> None:
        if what == "click":
            await index_click(conversions, click_id, offer_id)
        elif what == "version":
            await conversions.publish(offer_id=offer_id)
        elif what == "postback":
            await conversions.postback(postback)
        elif what == "refund":
            await conversions.postback(refund)
        else:
            await conversions.client.post(f"/v1/conversions/order:{postback['order_id']}/approve", headers=merchant)
        await step(conversions, attribute_waiting)
        await step(conversions, add_missed_details)

    for what in (*order, *(w for w in order if w in ("postback", "refund", "approve"))):
        await arrive(what)
    await arrive("approve")

    (row,) = await conversions.rows("SELECT * FROM conversion WHERE order_id = :o", o=postback["order_id"])
    assert (row["status"], row["net_amount_minor"], row["subs"]) == ("approved", 600, {"sub1": "newsletter"})
    events = await conversions.events_of(str(row["id"]))
    assert [e["version"] for e in events] == list(range(1, len(events) + 1))
    assert sum(e["change"] == "adjusted" for e in events) == 1
