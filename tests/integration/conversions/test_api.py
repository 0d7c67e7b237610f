"""The API of conversions: who sees what, and what people may do to a conversion."""

import asyncio
from typing import Any

import httpx
import pytest

from shared.kernel.click_id import ClickFlags
from tests.factories.conversions import AFFILIATE, MERCHANT, OTHER_MERCHANT, ConversionsService

REFUND = {
    "reason_code": "customer_return",
    "adjustment_id": "a1",
    "refund_amount": {"amount": "4.00", "currency": "EUR"},
}


async def sale(service: ConversionsService, **overrides: Any) -> dict[str, Any]:
    """A recorded sale of 10.00 EUR: its answer, with the order id."""
    offer_id = await service.publish()
    flags = overrides.pop("flags", ClickFlags.NONE)
    fields = {
        "click_id": service.click_id(offer_id=offer_id, flags=flags),
        "order_id": service.order(),
        "amount": "10.00",
        "currency": "EUR",
    } | overrides
    response = await service.postback(fields)
    assert response.status_code == 201, response.text
    return {**response.json(), "order_id": fields["order_id"]}


async def act(
    service: ConversionsService, ref: str, action: str, body: Any = None, *, role: Any = "merchant", **headers: str
) -> httpx.Response:
    party = MERCHANT if role == "merchant" else None
    sent = {**service.as_role(role, party), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await service.client.post(f"/v1/conversions/{ref}/{action}", json=body, headers=sent)


async def test_each_party_sees_its_own_and_no_more(conversions: ConversionsService) -> None:
    made = await sale(conversions, customer_id="c1")
    path = f"/v1/conversions/{made['conversion_id']}"

    async def seen(role: str, party: int | None) -> tuple[int, Any]:
        response = await conversions.client.get(path, headers=conversions.as_role(role, party))
        return response.status_code, response.json().get("order_id")

    assert await seen("merchant", MERCHANT) == (200, made["order_id"])
    assert await seen("merchant", OTHER_MERCHANT) == (404, None)
    assert await seen("affiliate", AFFILIATE) == (200, None)
    assert await seen("affiliate", AFFILIATE + 1) == (404, None)
    assert await seen("admin", None) == (200, made["order_id"])
    assert await seen("finance", None) == (200, made["order_id"])
    assert (await conversions.client.get(path)).status_code == 401
    mine = await conversions.client.get(path, headers=conversions.as_role("affiliate", AFFILIATE))
    assert mine.json()["customer_id"] is None


async def test_lists_are_narrowed_filtered_and_paged(conversions: ConversionsService) -> None:
    made = [(await sale(conversions))["conversion_id"] for _ in range(3)]
    headers = conversions.as_role("merchant", MERCHANT)

    first = (await conversions.client.get("/v1/conversions?limit=2&status=pending", headers=headers)).json()
    cursor = first["next_cursor"]
    second = (await conversions.client.get(f"/v1/conversions?limit=2&cursor={cursor}", headers=headers)).json()

    assert [item["id"] for item in first["items"]] == [made[2], made[1]]
    assert second["items"][0]["id"] == made[0]
    stranger = conversions.as_role("merchant", 12345)
    assert (await conversions.client.get("/v1/conversions", headers=stranger)).json()["items"] == []
    borrowed = await conversions.client.get(f"/v1/conversions?cursor={cursor}", headers=stranger)
    assert borrowed.json()["items"] == []
    for path in ("conversions", "receipts"):
        foreign = await conversions.client.get(f"/v1/{path}?merchant_id=8", headers=headers)
        assert (foreign.status_code, foreign.json()["code"]) == (404, "party_not_found")
    for query in ("cursor=zzz", "status=paid", "limit=0", "from=yesterday"):
        assert (await conversions.client.get(f"/v1/conversions?{query}", headers=headers)).status_code == 422


async def test_affiliates_see_rejected_ones_and_why(conversions: ConversionsService) -> None:
    made = await sale(conversions, flags=ClickFlags.UNENROLLED)
    headers = conversions.as_role("affiliate", AFFILIATE)

    trail = await conversions.client.get(f"/v1/conversions/{made['conversion_id']}/trail", headers=headers)

    (line,) = trail.json()["items"]
    assert (line["status"], line["outcome"]["name"]) == ("rejected", "not_enrolled")
    assert line["steps"][-1]["verdict"] == "lost"
    assert "not enrolled" in line["steps"][-1]["reason"]


async def test_approve_then_reverse_by_id_and_by_order(conversions: ConversionsService) -> None:
    made = await sale(conversions)

    approved = await act(conversions, made["conversion_id"], "approve")
    again = await act(conversions, made["conversion_id"], "approve")
    reversed_ = await act(conversions, f"order:{made['order_id']}", "reverse", {"reason_code": "order_cancelled"})

    assert (approved.status_code, approved.json()["status"]) == (200, "approved")
    assert (again.status_code, again.json()["code"]) == (409, "transition_refused")
    assert (reversed_.status_code, reversed_.json()["net_amount"]["amount"]) == (200, "0.00")
    events = await conversions.events_of(made["conversion_id"])
    assert [(e["version"], e["change"]) for e in events] == [(1, "recorded"), (2, "approved"), (3, "reversed")]
    assert events[-1]["reason_code"] == "order_cancelled"


async def test_adjustments_by_refund_and_by_new_amount(conversions: ConversionsService) -> None:
    made = await sale(conversions)
    ref, new = made["conversion_id"], {"reason_code": "order_error", "adjustment_id": "a2"}

    first = await act(conversions, ref, "adjust", REFUND)
    repeat = await act(conversions, ref, "adjust", REFUND)
    other = await act(conversions, ref, "adjust", {**REFUND, "reason_code": "fraud"})
    lower = await act(conversions, ref, "adjust", {**new, "new_amount": {"amount": "1.50", "currency": "EUR"}})
    higher = await act(
        conversions, ref, "adjust", {**new, "adjustment_id": "a3", "new_amount": {"amount": "2.00", "currency": "EUR"}}
    )

    assert (first.json()["net_amount"]["amount"], repeat.status_code, repeat.json()["version"]) == ("6.00", 200, 2)
    assert (other.status_code, other.json()["code"]) == (409, "adjustment_conflict")
    assert lower.json()["net_amount"]["amount"] == "1.50"
    assert (higher.status_code, higher.json()["errors"][0]["code"]) == (422, "adjustment_exceeds")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**REFUND, "new_amount": REFUND["refund_amount"]}, "refund_amount"),
        ({"reason_code": "fraud", "adjustment_id": "x"}, "refund_amount"),
        ({**REFUND, "reason_code": "because"}, "reason_code"),
        ({**REFUND, "refund_amount": {"amount": "1.234", "currency": "EUR"}}, "refund_amount.amount"),
        ({**REFUND, "refund_amount": {"amount": "1", "currency": "USD"}}, "currency"),
        ({**REFUND, "merchant_id": 8}, "merchant_id"),
        ({**REFUND, "adjustment_id": ""}, "adjustment_id"),
    ],
)
async def test_a_malformed_adjustment_names_its_field(conversions: ConversionsService, body: Any, field: str) -> None:
    made = await sale(conversions)

    response = await act(conversions, made["conversion_id"], "adjust", body)

    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["field"] == field


async def test_only_an_admin_decides_about_held_ones(conversions: ConversionsService) -> None:
    made = await sale(conversions, flags=ClickFlags.ROBOT)
    ref = made["conversion_id"]

    assert (await act(conversions, ref, "release")).status_code == 403
    assert (await act(conversions, ref, "reject", {"reason_code": "fraud"})).status_code == 403
    assert (await act(conversions, ref, "approve", role="admin")).status_code == 409
    released = await act(conversions, ref, "release", role="admin")
    assert (released.status_code, released.json()["status"]) == (200, "pending")
    assert (await act(conversions, ref, "reject", {"reason_code": "fraud"})).json()["status"] == "rejected"


async def test_foreign_and_unknown_ones_are_not_there(conversions: ConversionsService) -> None:
    made = await sale(conversions)
    headers = conversions.as_role("merchant", OTHER_MERCHANT)

    for ref in (made["conversion_id"], f"order:{made['order_id']}", "nonsense", "order:nothing"):
        response = await conversions.client.post(f"/v1/conversions/{ref}/approve", headers=headers)
        assert response.status_code == 404
    assert len(await conversions.events_of(made["conversion_id"])) == 1


async def test_an_idempotency_key_answers_again_and_takes_one_request_only(conversions: ConversionsService) -> None:
    made, other = await sale(conversions), await sale(conversions)
    key = conversions.order()

    first = await act(conversions, made["conversion_id"], "approve", Idempotency_Key=key)
    again = await act(conversions, made["conversion_id"], "approve", Idempotency_Key=key)
    reused = await act(conversions, other["conversion_id"], "approve", Idempotency_Key=key)

    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


async def test_the_same_key_at_once_has_one_effect(conversions: ConversionsService) -> None:
    made = await sale(conversions)
    key = conversions.order()

    responses = await asyncio.gather(
        *(act(conversions, made["conversion_id"], "adjust", REFUND, Idempotency_Key=key) for _ in range(8))
    )

    assert {r.status_code for r in responses} <= {200, 409}
    assert 200 in {r.status_code for r in responses}
    waiting = [r for r in responses if r.status_code == 409]
    assert {(r.json()["code"], r.headers["retry-after"]) for r in waiting} <= {("idempotency_in_progress", "1")}
    assert len(await conversions.events_of(made["conversion_id"])) == 2


@pytest.mark.parametrize("keys", [[""], ["a b"], ["x" * 129], ["one", "two"], ["one", "one"]])
async def test_a_malformed_or_doubled_idempotency_key_is_refused(
    conversions: ConversionsService, keys: list[str]
) -> None:
    made = await sale(conversions)
    headers = [*conversions.as_role("merchant", MERCHANT).items(), *(("Idempotency-Key", key) for key in keys)]

    response = await conversions.client.post(f"/v1/conversions/{made['conversion_id']}/approve", headers=headers)

    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert len(await conversions.events_of(made["conversion_id"])) == 1


async def test_a_merchant_reports_with_its_key_one_by_one_and_in_batches(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    headers = conversions.as_role("merchant", MERCHANT)
    good = {"click_id": conversions.click_id(offer_id=offer_id), "order_id": conversions.order()}
    good |= {"amount": "5.00", "currency": "EUR"}

    one = await conversions.client.post("/v1/conversions", json=good, headers=headers)
    bad = await conversions.client.post("/v1/conversions", json={"amount": "x"}, headers=headers)
    batch = await conversions.client.post(
        "/v1/conversions",
        json={"conversions": [good, {**good, "amount": "6.00"}, 5, {"order_id": conversions.order()}]},
        headers=headers,
    )

    assert (one.status_code, one.json()["status"]) == (201, "pending")
    assert (bad.status_code, bool(bad.json()["receipt_id"])) == (422, True)
    results = batch.json()["results"]
    assert (batch.status_code, [r["http_status"] for r in results]) == (200, [200, 409, 422, 201])
    assert results[0]["duplicate"] is True
    for role, party in (("affiliate", 1), ("admin", None), ("finance", None)):
        refused = await conversions.client.post("/v1/conversions", json=good, headers=conversions.as_role(role, party))
        assert refused.status_code == 403
    many = await conversions.client.post("/v1/conversions", json={"conversions": [good] * 101}, headers=headers)
    assert many.status_code == 422


async def test_receipts_are_the_merchants(conversions: ConversionsService) -> None:
    made = await sale(conversions)
    path = f"/v1/receipts/{made['receipt_id']}"

    mine = await conversions.client.get(path, headers=conversions.as_role("merchant", MERCHANT))
    listed = await conversions.client.get(
        f"/v1/receipts?order_id={made['order_id']}", headers=conversions.as_role("merchant", MERCHANT)
    )
    theirs = await conversions.client.get(path, headers=conversions.as_role("merchant", OTHER_MERCHANT))
    affiliates = await conversions.client.get(path, headers=conversions.as_role("affiliate", AFFILIATE))

    assert (mine.status_code, mine.json()["conversion_id"]) == (200, made["conversion_id"])
    assert [item["id"] for item in listed.json()["items"]] == [made["receipt_id"]]
    assert (theirs.status_code, affiliates.status_code) == (404, 403)
