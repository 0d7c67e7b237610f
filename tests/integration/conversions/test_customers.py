"""Recurring offers: the first recorded order makes an affiliate own the customer, whatever arrives when."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.conversions.domain.conversion import Actor
from services.conversions.usecases.answer import Answer
from services.conversions.usecases.attribute_waiting import attribute_waiting
from services.conversions.usecases.judge_postback import Arrival, Submission
from services.conversions.usecases.postback_group import PostbackGroup
from shared.contracts.catalogue import TermV1
from shared.kernel.click_id import ClickFlags
from shared.kernel.ids import new_id
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.conversions import AFFILIATE, MERCHANT, ConversionsService, free_offer_id
from tests.integration.conversions.test_erasure import erase, execute
from tests.integration.conversions.test_late_arrivals import step

OTHER = 12
RECURRING = TermV1(event="sale", kind="percentage", rate_percent="10", margin_percent="2", recurring_months=12)


async def offer(service: ConversionsService, **overrides: Any) -> int:
    return await service.publish(**({"terms": [RECURRING]} | overrides))


def order(service: ConversionsService, customer: str, **fields: Any) -> dict[str, Any]:
    return {
        "order_id": service.order(),
        "customer_id": customer,
        "amount": "10.00",
        "currency": "EUR",
    } | fields


async def send(service: ConversionsService, fields: dict[str, Any]) -> dict[str, Any]:
    """Report it; gives the last event."""
    response = await service.postback(fields)
    assert response.status_code == 201, response.text
    return (await service.events_of(response.json()["conversion_id"]))[-1]


async def test_a_later_order_without_a_click_is_the_owner_s(conversions: ConversionsService) -> None:
    offer_id, customer = await offer(conversions, validation_days=3), conversions.order()

    first = await send(conversions, order(conversions, customer, click_id=conversions.click_id(offer_id=offer_id)))
    later = await send(conversions, order(conversions, customer))

    assert first["customer_first_at"] == later["customer_first_at"] == first["first_received_at"]
    assert (later["status"], later["attributed_by"], later["affiliate_id"]) == ("pending", "customer", AFFILIATE)
    assert (later["offer_id"], later["offer_version"]) == (offer_id, 1)
    assert "click_id" not in later
    trail = await conversions.client.get(
        f"/v1/conversions/{later['conversion_id']}/trail", headers=conversions.as_role("affiliate", AFFILIATE)
    )
    assert [(s["rule"], s["verdict"]) for s in trail.json()["items"][0]["steps"]][-1] == ("customer_ownership", "won")


async def test_every_order_of_arrival_gives_the_customer_to_who_was_recorded_first(
    conversions: ConversionsService,
) -> None:
    offer_id = await offer(conversions)

    for sequence in permutations(["by 11", "by 12", "open", "open too"]):
        customer, first_at, owner = conversions.order(), None, None
        for kind in sequence:
            affiliate = int(kind.removeprefix("by ")) if kind.startswith("by") else None
            click_id = (
                {}
                if affiliate is None
                else {"click_id": conversions.click_id(offer_id=offer_id, affiliate_id=affiliate)}
            )
            event = await send(conversions, order(conversions, customer, **click_id))
            if affiliate is not None and owner is None:
                owner, first_at = affiliate, event["first_received_at"]
            assert event.get("affiliate_id") == (affiliate or owner)
            assert event.get("customer_first_at") == first_at
            assert event["status"] == ("unattributed" if affiliate is None and owner is None else "pending")


async def test_a_click_of_another_affiliate_wins_its_order_and_not_the_customer(
    conversions: ConversionsService,
) -> None:
    offer_id, customer = await offer(conversions), conversions.order()
    await send(conversions, order(conversions, customer, click_id=conversions.click_id(offer_id=offer_id)))

    by_click = conversions.click_id(offer_id=offer_id, affiliate_id=OTHER)
    stolen = await send(conversions, order(conversions, customer, click_id=by_click))
    later = await send(conversions, order(conversions, customer))

    assert (stolen["affiliate_id"], stolen["attributed_by"]) == (OTHER, "click_id")
    assert (later["affiliate_id"], later["attributed_by"]) == (AFFILIATE, "customer")


async def test_a_renewal_with_the_first_order_s_old_click_is_the_owner_s(conversions: ConversionsService) -> None:
    offer_id, customer = await offer(conversions, window_max_seconds=100), conversions.order()
    await send(conversions, order(conversions, customer, click_id=conversions.click_id(offer_id=offer_id)))

    clicked_at = datetime.now(UTC) - timedelta(seconds=500)
    old = conversions.click_id(offer_id=offer_id, affiliate_id=OTHER, clicked_at=clicked_at)
    renewal = await send(conversions, order(conversions, customer, click_id=old))
    nobodys = await send(conversions, order(conversions, conversions.order(), click_id=old))

    assert (renewal["affiliate_id"], renewal["attributed_by"]) == (AFFILIATE, "customer")
    assert "click_id" not in renewal
    assert (nobodys["status"], nobodys["affiliate_id"]) == ("rejected", OTHER)


async def test_nobody_owns_a_customer_of_an_offer_that_is_not_recurring(conversions: ConversionsService) -> None:
    customer = conversions.order()
    by_click = conversions.click_id(offer_id=await conversions.publish())
    first = await send(conversions, order(conversions, customer, click_id=by_click))

    assert "customer_first_at" not in first
    assert (await send(conversions, order(conversions, customer)))["status"] == "unattributed"


async def test_a_customer_is_one_merchant_s(conversions: ConversionsService) -> None:
    offer_id, customer = await offer(conversions), conversions.order()
    await send(conversions, order(conversions, customer, click_id=conversions.click_id(offer_id=offer_id)))
    own = conversions.as_role("merchant", 8)

    other = await conversions.client.post("/v1/conversions", json=order(conversions, customer), headers=own)

    assert other.json()["status"] == "unattributed"


async def test_within_one_request_arrival_decides(conversions: ConversionsService) -> None:
    offer_id, customer = await offer(conversions), conversions.order()
    by_click = conversions.click_id(offer_id=offer_id)
    batch = [
        order(conversions, customer),
        order(conversions, customer, click_id=by_click),
        order(conversions, customer),
    ]

    answer = await conversions.client.post(
        "/v1/conversions", json={"conversions": batch}, headers=conversions.as_role("merchant", MERCHANT)
    )

    assert [result["status"] for result in answer.json()["results"]] == ["unattributed", "pending", "pending"]


async def test_at_the_same_instant_arrival_decides(conversions: ConversionsService) -> None:
    offer_id, customer, now = await offer(conversions), conversions.order(), datetime.now(UTC)
    by_click = {"click_id": conversions.click_id(offer_id=offer_id)}

    sent = [judged(conversions, order(conversions, customer, **click), now) for click in ({}, by_click, {})]
    answers = await conversions.api.desk.group.record(sent)

    assert [answer.status for answer in answers] == ["unattributed", "pending", "pending"]


async def test_a_repeat_of_an_order_makes_nobody_an_owner(conversions: ConversionsService) -> None:
    offer_id, customer = await offer(conversions), conversions.order()
    fields = order(conversions, customer, click_id=conversions.click_id(offer_id=offer_id))
    first = await send(conversions, fields)
    await erase(conversions, merchant_id=MERCHANT, customer_id=customer)
    await execute(conversions)

    again = await conversions.postback(fields)
    conflict = await conversions.postback(fields | {"customer_id": conversions.order()})

    assert (again.status_code, conflict.status_code) == (200, 409)
    rows = await conversions.rows("SELECT customer_id FROM customer_ownership WHERE offer_id = :id", id=offer_id)
    assert [row["customer_id"] for row in rows] == [None]
    assert first["customer_first_at"]


async def test_an_erased_customer_is_nobody_s_and_its_credits_stay(conversions: ConversionsService) -> None:
    offer_id, customer = await offer(conversions), conversions.order()
    first = await send(conversions, order(conversions, customer, click_id=conversions.click_id(offer_id=offer_id)))
    later = await send(conversions, order(conversions, customer))

    await erase(conversions, merchant_id=MERCHANT, customer_id=customer)
    await execute(conversions)
    after = await send(conversions, order(conversions, customer))
    by_click = conversions.click_id(offer_id=offer_id, affiliate_id=OTHER)
    clicked = await send(conversions, order(conversions, customer, click_id=by_click))

    assert after["status"] == "unattributed"
    assert (clicked["status"], clicked.get("customer_first_at")) == ("pending", None)
    rows = await conversions.rows("SELECT * FROM customer_ownership WHERE offer_id = :id", id=offer_id)
    assert [(str(row["conversion_id"]), row["customer_id"]) for row in rows] == [(first["conversion_id"], None)]
    for event in (first, later):
        assert len(await conversions.events_of(event["conversion_id"])) == 1


async def test_erasing_the_first_order_s_click_forgets_the_customer_too(conversions: ConversionsService) -> None:
    offer_id, customer = await offer(conversions), conversions.order()
    click_id = conversions.click_id(offer_id=offer_id)
    await send(conversions, order(conversions, customer, click_id=click_id))

    await erase(conversions, click_id=click_id)
    await execute(conversions)

    (row,) = await conversions.rows("SELECT customer_id FROM customer_ownership WHERE offer_id = :id", id=offer_id)
    assert row["customer_id"] is None


async def test_an_order_that_waited_becomes_the_first_when_it_is_decided(conversions: ConversionsService) -> None:
    offer_id, customer = free_offer_id(), conversions.order()
    waiting = order(conversions, customer, click_id=conversions.click_id(offer_id=offer_id))
    recorded = await send(conversions, waiting)
    await offer(conversions, offer_id=offer_id)

    while await step(conversions, attribute_waiting):
        pass
    later = await send(conversions, order(conversions, customer))

    decided = (await conversions.events_of(recorded["conversion_id"]))[-1]
    assert (recorded["status"], decided["status"]) == ("waiting", "pending")
    assert decided["customer_first_at"] == later["customer_first_at"] == recorded["first_received_at"]
    assert later["attributed_by"] == "customer"


async def test_a_held_order_makes_an_owner_when_it_is_released(conversions: ConversionsService) -> None:
    offer_id, customer = await offer(conversions), conversions.order()
    robot = conversions.click_id(offer_id=offer_id, flags=ClickFlags.ROBOT)
    held = await send(conversions, order(conversions, customer, click_id=robot))
    before = await send(conversions, order(conversions, customer))

    await conversions.client.post(
        f"/v1/conversions/{held['conversion_id']}/release", headers=conversions.as_role("admin")
    )
    after = await send(conversions, order(conversions, customer))

    released = (await conversions.events_of(held["conversion_id"]))[-1]
    assert (held["status"], before["status"], released["status"]) == ("held", "unattributed", "pending")
    assert (after["affiliate_id"], after["customer_first_at"]) == (AFFILIATE, released["customer_first_at"])


async def test_a_click_added_later_makes_an_owner(conversions: ConversionsService) -> None:
    offer_id, customer = await offer(conversions), conversions.order()
    fields = order(conversions, customer)
    click_id = conversions.click_id(offer_id=offer_id)
    await send(conversions, fields)

    added = await send(conversions, fields | {"click_id": click_id})
    later = await send(conversions, order(conversions, customer))

    assert added["customer_first_at"] == later["customer_first_at"] == added["first_received_at"]


def judged(service: ConversionsService, fields: dict[str, Any], now: datetime) -> Submission:
    arrival = Arrival(new_id(), MERCHANT, now, "query", Actor("merchant_postback"), new_id().hex)
    return service.api.desk.judge(fields, arrival)


@asynccontextmanager
async def two_groups(postgres: TestPostgres) -> AsyncIterator[list[PostbackGroup]]:
    """Those of two processes: each on its own connection."""
    databases = [Database(postgres.migrate("conversions"), role="conversions_intake", pool_size=1) for _ in range(2)]
    yield [PostbackGroup(database) for database in databases]
    for database in databases:
        await database.close()


async def at_once(
    service: ConversionsService, groups: Sequence[PostbackGroup], sent: Sequence[dict[str, Any]]
) -> list[Answer]:
    now = datetime.now(UTC)
    given = zip(groups, sent, strict=True)
    answers = await asyncio.gather(*(group.record([judged(service, fields, now)]) for group, fields in given))
    return [answer for (answer,) in answers]


@pytest.mark.parametrize("is_same_order", [False, True])
async def test_two_first_orders_at_once_make_one_owner(
    conversions: ConversionsService, postgres: TestPostgres, is_same_order: bool
) -> None:
    offer_id = await offer(conversions)

    async with two_groups(postgres) as groups:
        for _ in range(15):
            customer, order_id = conversions.order(), conversions.order()
            clicks = [conversions.click_id(offer_id=offer_id, affiliate_id=a) for a in (AFFILIATE, OTHER)]
            named = {"order_id": order_id, "click_id": clicks[0]} if is_same_order else {}
            sent = [order(conversions, customer, **({"click_id": click_id} | named)) for click_id in clicks]
            answers = await at_once(conversions, groups, sent)
            assert sorted(a.http_status for a in answers) == ([200, 201] if is_same_order else [201, 201])
            events = [(await conversions.events_of(str(a.conversion_id)))[0] for a in answers]
            assert len({event["customer_first_at"] for event in events}) == 1
            owned = await send(conversions, order(conversions, customer))
            rows = await conversions.rows(
                "SELECT affiliate_id, conversion_id::text AS first FROM customer_ownership"
                " WHERE merchant_id = :merchant ORDER BY conversion_id DESC LIMIT 1",
                merchant=MERCHANT,
            )
            assert owned["affiliate_id"] == rows[0]["affiliate_id"]
            assert rows[0]["first"] in {event["conversion_id"] for event in events}

    rows = await conversions.rows("SELECT count(*) AS n FROM customer_ownership WHERE offer_id = :id", id=offer_id)
    assert rows[0]["n"] == 15


async def test_of_one_order_for_two_customers_at_once_only_the_recorded_one_is_owned(
    conversions: ConversionsService, postgres: TestPostgres
) -> None:
    offer_id = await offer(conversions)

    async with two_groups(postgres) as groups:
        for _ in range(15):
            same = order(conversions, "", click_id=conversions.click_id(offer_id=offer_id))
            sent = [same | {"customer_id": conversions.order()} for _ in range(2)]
            assert sorted(a.http_status for a in await at_once(conversions, groups, sent)) == [201, 409]

    rows = await conversions.rows(
        "SELECT count(*) AS n, count(c.id) AS recorded FROM customer_ownership o"
        " LEFT JOIN conversion c ON c.id = o.conversion_id AND c.customer_id = o.customer_id WHERE o.offer_id = :id",
        id=offer_id,
    )
    assert (rows[0]["n"], rows[0]["recorded"]) == (15, 15)
