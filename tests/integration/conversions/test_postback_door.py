"""The postback door on a real PostgreSQL: taken once, answered after the commit, a receipt for everybody known."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.kernel.click_id import ClickFlags
from tests.factories.conversions import MERCHANT, OTHER_MERCHANT, ConversionsService, Way, signed_query

WAYS: tuple[Way, ...] = ("query", "form", "json", "query_token", "form_token", "json_token", "bearer")


async def sale_of(service: ConversionsService, offer_id: int, **overrides: Any) -> dict[str, Any]:
    """Fields of a fresh sale by a fresh click."""
    fields = {
        "click_id": service.click_id(offer_id=offer_id),
        "order_id": service.order(),
        "amount": "12.34",
        "currency": "EUR",
    } | overrides
    return {name: value for name, value in fields.items() if value is not None}


@pytest.mark.parametrize("way", WAYS)
async def test_a_sale_is_attributed_by_its_click_id(conversions: ConversionsService, way: Way) -> None:
    sale = await sale_of(conversions, await conversions.publish())

    response = await conversions.postback(sale, way)

    assert response.status_code == 201, response.text
    answer = response.json()
    assert answer["outcome"] == {"code": 100, "name": "recorded"}
    assert (answer["status"], answer["duplicate"]) == ("pending", False)
    (event,) = await conversions.events_of(answer["conversion_id"])
    assert event["status"] == "pending"
    assert event["net_amount"] == {"amount_minor": 1234, "currency": "EUR"}
    assert event["affiliate_id"] == 11
    assert event["attributed_by"] == "click_id"


async def test_the_same_postback_fifty_times_at_once_is_one_conversion(conversions: ConversionsService) -> None:
    sale = await sale_of(conversions, await conversions.publish())
    start = datetime.now(UTC).timestamp()

    responses = await asyncio.gather(*(conversions.postback(sale, at=start - number) for number in range(50)))

    assert sorted(r.status_code for r in responses) == [200] * 49 + [201]
    answers = [r.json() for r in responses]
    assert len({a["conversion_id"] for a in answers}) == 1
    assert len({a["receipt_id"] for a in answers}) == 1
    assert {a["duplicate"] for a in answers if a["duplicate"]} == {True}
    assert len(await conversions.events_of(answers[0]["conversion_id"])) == 1
    counted = await conversions.rows(
        "SELECT count(*) AS n FROM receipt WHERE order_id = :order", order=sale["order_id"]
    )
    assert counted[0]["n"] == 50


async def test_a_lead_without_order_is_one_per_click(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    lead = {"event": "lead", "click_id": conversions.click_id(offer_id=offer_id)}

    first = await conversions.postback(lead)
    again = await conversions.postback({**lead, "click_id": lead["click_id"].upper()})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"duplicate": True}


async def test_same_key_with_other_content_is_a_conflict_and_changes_nothing(conversions: ConversionsService) -> None:
    sale = await sale_of(conversions, await conversions.publish())
    first = await conversions.postback(sale)

    other = await conversions.postback({**sale, "amount": "99.00"})

    assert other.status_code == 409
    assert other.json()["outcome"]["code"] == 420
    assert other.json()["receipt_id"] != first.json()["receipt_id"]
    assert len(await conversions.events_of(first.json()["conversion_id"])) == 1


async def test_conflict_and_duplicate_inside_one_group_follow_arrival(conversions: ConversionsService) -> None:
    sale = await sale_of(conversions, await conversions.publish())

    first, other, again = await asyncio.gather(
        conversions.postback(sale), conversions.postback({**sale, "amount": "1.00"}), conversions.postback(sale)
    )

    assert [first.status_code, other.status_code, again.status_code] == [201, 409, 200]


@pytest.mark.parametrize(
    ("flags", "status", "code"),
    [
        (ClickFlags.ROBOT, "held", 102),
        (ClickFlags.UNENROLLED, "rejected", 204),
        (ClickFlags.INACTIVE, "rejected", 205),
        (ClickFlags.OVER_CLICK_CAP, "rejected", 206),
        (ClickFlags.DUPLICATE, "pending", 100),
        (ClickFlags.ROBOT | ClickFlags.UNENROLLED, "rejected", 204),
    ],
)
async def test_flags_of_the_click_are_obeyed(
    conversions: ConversionsService, flags: ClickFlags, status: str, code: int
) -> None:
    offer_id = await conversions.publish()
    sale = await sale_of(conversions, offer_id, click_id=conversions.click_id(offer_id=offer_id, flags=flags))

    response = await conversions.postback(sale)

    assert response.status_code == 201
    assert (response.json()["status"], response.json()["outcome"]["code"]) == (status, code)


async def test_window_and_terms_decide(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish(window_min_seconds=30, window_max_seconds=100)
    now = datetime.now(UTC)

    async def outcome(age_seconds: int, **fields: Any) -> int:
        click_id = conversions.click_id(offer_id=offer_id, clicked_at=now - timedelta(seconds=age_seconds))
        response = await conversions.postback(await sale_of(conversions, offer_id, click_id=click_id, **fields))
        assert response.status_code == 201
        return int(response.json()["outcome"]["code"])

    assert await outcome(3) == 202
    assert await outcome(60) == 100
    assert await outcome(130) == 201
    assert await outcome(60, event="install") == 207


@pytest.mark.parametrize(
    ("spoil", "status", "code"),
    [
        (lambda c: c[:-1], 404, 410),
        (lambda c: c + "0", 404, 410),
        (lambda c: "w" * 56, 404, 410),
        (lambda c: c[:20] + ("0" if c[20] != "0" else "1") + c[21:], 404, 411),
        (lambda c: "vv" + c[2:], 404, 412),
    ],
)
async def test_a_click_id_that_does_not_verify_claims_nothing(
    conversions: ConversionsService, spoil: Any, status: int, code: int
) -> None:
    offer_id = await conversions.publish()
    good = await sale_of(conversions, offer_id)

    bad = await conversions.postback({**good, "click_id": spoil(good["click_id"])})
    after = await conversions.postback(good)

    assert (bad.status_code, bad.json()["outcome"]["code"]) == (status, code)
    assert bad.headers["content-type"] == "application/problem+json"
    assert bad.json()["receipt_id"]
    assert after.status_code == 201


async def test_an_offer_of_another_merchant_is_refused(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish(merchant_id=OTHER_MERCHANT)

    response = await conversions.postback(await sale_of(conversions, offer_id))

    assert (response.status_code, response.json()["outcome"]["code"]) == (403, 413)


async def test_without_a_click_it_is_unattributed_and_a_click_may_come_later(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    bare = await sale_of(conversions, offer_id, click_id=None)
    click_id = conversions.click_id(offer_id=offer_id)

    first = await conversions.postback(bare)
    added = await conversions.postback({**bare, "click_id": click_id})
    repeats = [await conversions.postback(bare), await conversions.postback({**bare, "click_id": click_id})]

    assert (first.status_code, first.json()["status"]) == (201, "unattributed")
    assert (added.status_code, added.json()["status"]) == (201, "pending")
    assert added.json()["conversion_id"] == first.json()["conversion_id"]
    assert [r.json() for r in repeats] == [first.json() | {"duplicate": True}, added.json() | {"duplicate": True}]
    events = await conversions.events_of(first.json()["conversion_id"])
    assert [(e["version"], e["status"]) for e in events] == [(1, "unattributed"), (2, "pending")]


async def test_a_click_after_the_first_receipt_is_not_added(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    bare = await sale_of(conversions, offer_id, click_id=None)
    await conversions.postback(bare)
    later = conversions.click_id(offer_id=offer_id, clicked_at=datetime.now(UTC) + timedelta(seconds=1))

    response = await conversions.postback({**bare, "click_id": later})

    assert response.status_code == 409


async def test_a_test_postback_claims_no_key_and_posts_nothing(conversions: ConversionsService) -> None:
    sale = await sale_of(conversions, await conversions.publish())

    dry = await conversions.postback({**sale, "test": "1"})
    real = await conversions.postback(sale)

    assert (dry.status_code, dry.json()["outcome"]["code"], dry.json()["conversion_id"]) == (200, 130, None)
    assert real.status_code == 201


async def test_partial_refunds_chain_until_nothing_is_left(conversions: ConversionsService) -> None:
    sale = await sale_of(conversions, await conversions.publish(), amount="10.00")
    conversion_id = (await conversions.postback(sale)).json()["conversion_id"]

    async def refund(adjustment_id: str, amount: str | None) -> tuple[int, int, str | int]:
        fields = {"event": "refund", "order_id": sale["order_id"], "adjustment_id": adjustment_id}
        if amount is not None:
            fields |= {"amount": amount, "currency": "EUR"}
        response = await conversions.postback(fields)
        return response.status_code, response.json()["outcome"]["code"], response.json()["status"]

    assert await refund("r1", "4.00") == (201, 110, "pending")
    assert await refund("r1", "4.00") == (200, 110, "pending")
    assert await refund("r1", "5.00") == (409, 421, 409)
    assert await refund("r2", "6.01") == (422, 422, 422)
    assert await refund("r3", None) == (201, 111, "reversed")
    assert await refund("r4", None) == (422, 422, 422)
    events = await conversions.events_of(conversion_id)
    assert [e["net_amount"]["amount_minor"] for e in events] == [1000, 600, 0]
    assert [e["change"] for e in events] == ["recorded", "adjusted", "reversed"]


async def test_a_refund_of_nothing_known_is_not_found(conversions: ConversionsService) -> None:
    response = await conversions.postback({"order_id": "nothing", "adjustment_id": "r1"})

    assert (response.status_code, response.json()["outcome"]["code"]) == (404, 423)


async def test_an_order_with_two_events_needs_the_event_named(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    sale = await sale_of(conversions, offer_id)
    await conversions.postback(sale)
    await conversions.postback({**sale, "event": "lead"})

    ambiguous = await conversions.postback({"order_id": sale["order_id"], "adjustment_id": "r1"})
    named = await conversions.postback({"order_id": sale["order_id"], "adjustment_id": "r2", "event": "lead"})

    assert (ambiguous.status_code, ambiguous.json()["outcome"]["code"]) == (422, 424)
    assert named.status_code == 201


async def test_many_refunds_at_once_are_each_taken_once(conversions: ConversionsService) -> None:
    sale = await sale_of(conversions, await conversions.publish(), amount="10.00")
    conversion_id = (await conversions.postback(sale)).json()["conversion_id"]
    refunds = [
        {"order_id": sale["order_id"], "adjustment_id": f"r{number % 5}", "amount": "1.00", "currency": "EUR"}
        for number in range(25)
    ]

    responses = await asyncio.gather(*(conversions.postback(refund) for refund in refunds))

    assert sorted(r.status_code for r in responses) == [200] * 20 + [201] * 5
    events = await conversions.events_of(conversion_id)
    assert [e["net_amount"]["amount_minor"] for e in events] == [1000, 900, 800, 700, 600, 500]
    assert [e["version"] for e in events] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"order_id": None, "click_id": None}, "order_id"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1.234"}, "amount"),
        ({"amount": "1", "currency": "XXQ"}, "currency"),
        ({"currency": None}, "currency"),
        ({"amount": None}, "amount"),
        ({"event": "Sale!"}, "event"),
        ({"order_id": "a" * 65}, "order_id"),
        ({"order_id": "a\x01b"}, "order_id"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"test": "maybe"}, "test"),
    ],
)
async def test_a_malformed_field_is_named(conversions: ConversionsService, fields: dict[str, Any], field: str) -> None:
    response = await conversions.postback(await sale_of(conversions, await conversions.publish(), **fields))

    assert response.status_code == 422, response.text
    body = response.json()
    assert [error["field"] for error in body["errors"]] == [field]
    assert body["code"] == "validation_failed"
    assert body["outcome"]["code"] == 400
    stored = await conversions.rows("SELECT * FROM receipt WHERE id = :id", id=body["receipt_id"])
    assert stored[0]["errors"][0]["field"] == field


async def test_a_repeated_parameter_is_refused(conversions: ConversionsService) -> None:
    query = signed_query({"merchant_id": MERCHANT, "order_id": "a", "x": "1&order_id=b"}).replace(
        "1%26order_id%3Db", "1"
    )
    response = await conversions.client.get("/postback?" + query)

    assert response.status_code == 401


async def test_methods_and_sizes(conversions: ConversionsService) -> None:
    deleted = await conversions.client.delete("/postback")
    large = await conversions.postback({"order_id": "x", "coupon": "y" * 70_000}, "json")

    assert (deleted.status_code, deleted.headers["allow"]) == (405, "GET, POST")
    assert large.status_code == 413
