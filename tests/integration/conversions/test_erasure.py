"""Erasure by customer and by click: nothing personal stays or comes back, and no event of a conversion changes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.conversions.consumers.clicks_erased import ClicksErasedHandler
from services.conversions.usecases.execute_erasures import execute_erasures
from shared.contracts.erasures import ClickErasedV1
from shared.contracts.events import encode_event
from shared.contracts.topics import CLICKS_ERASED
from shared.kernel.ids import new_id
from shared.runtime.event_log.interface import Received
from tests.factories.conversions import MERCHANT, OTHER_MERCHANT, ConversionsService
from tests.integration.conversions.test_late_arrivals import ClockAt, index_click, sale


async def execute(service: ConversionsService) -> None:
    for _ in range(50):
        async with service.worker.transaction() as session:
            if not await execute_erasures(session, ClockAt(datetime.now(UTC))):
                return
    raise AssertionError("the erasures never end")


async def erase(service: ConversionsService, **reference: Any) -> Any:
    return await service.client.post("/v1/erasures", json=reference, headers=service.as_role("admin"))


async def state(service: ConversionsService, erasure_id: str) -> Any:
    return (await service.client.get(f"/v1/erasures/{erasure_id}", headers=service.as_role("admin"))).json()


async def report_done(service: ConversionsService, erasure_id: str, click_id: str) -> None:
    event = ClickErasedV1(event_id=new_id(), occurred_at=datetime.now(UTC), erasure_id=erasure_id, click_id=click_id)
    received = Received(CLICKS_ERASED, 0, 0, None, encode_event(event))
    async with service.worker.transaction() as session:
        await ClicksErasedHandler(ClockAt(datetime.now(UTC)))(session, [received, received])


async def conversion(service: ConversionsService, conversion_id: str) -> Any:
    return (await service.rows("SELECT * FROM conversion WHERE id = CAST(:id AS uuid)", id=conversion_id))[0]


async def asked_of_clicks(service: ConversionsService, erasure_id: str) -> list[str]:
    rows = await service.rows(
        "SELECT convert_from(payload, 'UTF8')::json ->> 'click_id' AS c FROM outbox WHERE topic = 'erasures.v1'"
        " AND convert_from(payload, 'UTF8')::json ->> 'erasure_id' = :id",
        id=erasure_id,
    )
    return [row["c"] for row in rows]


async def test_a_customer_is_erased_with_its_clicks_and_stays_erased(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    click_id, other_click = (conversions.click_id(offer_id=offer_id) for _ in range(2))
    await index_click(conversions, click_id, offer_id)
    customer = f"customer-{new_id().hex[-8:]}"
    order = sale(conversions, click_id, customer_id=customer, customer_status="vip", items="shoes", sub1="shop")
    first = (await conversions.postback(order)).json()
    bystander = (await conversions.postback(sale(conversions, other_click, customer_id=f"{customer}x"))).json()
    events = await conversions.events_of(first["conversion_id"])

    requested = await erase(conversions, merchant_id=MERCHANT, customer_id=customer)
    erasure_id = requested.json()["id"]
    await execute(conversions)
    pending = await state(conversions, erasure_id)
    await report_done(conversions, erasure_id, click_id)
    done = await state(conversions, erasure_id)
    again = await erase(conversions, merchant_id=MERCHANT, customer_id=customer)

    row = await conversion(conversions, first["conversion_id"])
    assert (row["customer_id"], row["customer_status"], row["items"], row["merchant_subs"]) == (None, None, None, {})
    assert (await conversion(conversions, bystander["conversion_id"]))["customer_id"] is not None
    assert requested.status_code == 202
    assert (pending["status"], done["status"]) == ("pending", "done")
    assert {s["service"]: s["status"] for s in pending["services"]} == {
        "conversions": "done", "clicks": "pending", "commissions": "nothing_held", "gateway": "nothing_held",
    }  # fmt: skip
    assert await asked_of_clicks(conversions, erasure_id) == [click_id]
    assert (
        await conversions.rows(
            "SELECT 1 FROM click_detail JOIN erased_click USING (click_id) WHERE erasure_id = CAST(:id AS uuid)",
            id=erasure_id,
        )
        == []
    )
    assert (again.json()["id"], again.json()["status"]) == (erasure_id, "done")
    assert await conversions.events_of(first["conversion_id"]) == events
    assert customer not in str(await conversions.rows("SELECT * FROM erasure")) + requested.text + str(done)


async def test_nothing_that_arrives_later_brings_a_customer_back(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    click_id = conversions.click_id(offer_id=offer_id)
    customer = f"customer-{new_id().hex[-8:]}"
    order = sale(conversions, click_id, customer_id=customer)
    first = (await conversions.postback(order)).json()
    await erase(conversions, merchant_id=MERCHANT, customer_id=customer)
    await execute(conversions)

    repeat = (await conversions.postback(order)).json()
    another = (
        await conversions.postback(sale(conversions, conversions.click_id(offer_id=offer_id), customer_id=customer))
    ).json()
    elsewhere = await conversions.rows(
        "SELECT count(*) AS n FROM erased_customer WHERE merchant_id = :m", m=OTHER_MERCHANT
    )
    await index_click(conversions, click_id, offer_id)

    assert repeat == {**first, "duplicate": True}
    assert another["status"] == "pending"
    for made in (first, another):
        assert (await conversion(conversions, made["conversion_id"]))["customer_id"] is None
    assert elsewhere[0]["n"] == 0
    assert (await conversion(conversions, first["conversion_id"]))["has_details"] is False


async def test_a_click_is_erased_and_credits_as_before(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    click_id = conversions.click_id(offer_id=offer_id)
    await index_click(conversions, click_id, offer_id)

    requested = (await erase(conversions, click_id=click_id.upper())).json()
    told = await asked_of_clicks(conversions, requested["id"])
    await execute(conversions)
    await index_click(conversions, click_id, offer_id)
    late = (await conversions.postback(sale(conversions, click_id, customer_id="c", items="shoes"))).json()

    row = await conversion(conversions, late["conversion_id"])
    assert told == [click_id]
    assert (late["status"], row["has_details"], row["customer_id"], row["items"]) == ("pending", False, None, None)


async def test_what_slips_in_beside_an_erasure_is_caught(conversions: ConversionsService) -> None:
    offer_id = await conversions.publish()
    click_id = conversions.click_id(offer_id=offer_id)
    customer = f"customer-{new_id().hex[-8:]}"
    made = (await conversions.postback(sale(conversions, click_id, customer_id=customer))).json()
    kept = (await conversion(conversions, made["conversion_id"]))["customer_id"]
    await erase(conversions, merchant_id=MERCHANT, customer_id=customer)
    await execute(conversions)
    async with conversions.worker.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "UPDATE conversion SET customer_id = $1 WHERE id = $2::text::uuid", (kept, made["conversion_id"])
        )

    await execute(conversions)

    assert (await conversion(conversions, made["conversion_id"]))["customer_id"] is None


async def test_dead_letters_and_kept_answers_that_show_the_click_go_too(conversions: ConversionsService) -> None:
    click_id, other = conversions.click_id(), conversions.click_id()
    async with conversions.admin.transaction() as session:
        connection = await session.connection()
        for number, text in enumerate((click_id, other)):
            await connection.exec_driver_sql(
                'INSERT INTO dead_letter (consumer, topic, partition, "offset", payload, reason, failed_at)'
                " VALUES ('c', 'clicks.v1', 0, $1, $2, 'r', now())",
                (number, f'{{"click_id":"{text}", broken'.encode()),
            )
            await connection.exec_driver_sql(
                "INSERT INTO idempotency_key VALUES ('admin', $1, NULL, 'h', 200, $2, now())",
                (f"k-{text}", f'{{"click_id":"{text}"}}'.encode()),
            )

    await erase(conversions, click_id=click_id)
    await execute(conversions)

    letters = await conversions.rows("SELECT convert_from(payload, 'UTF8') AS p FROM dead_letter WHERE consumer = 'c'")
    answers = await conversions.rows("SELECT key FROM idempotency_key WHERE key LIKE 'k-%'")
    assert [other in row["p"] for row in letters] == [True]
    assert [row["key"] for row in answers] == [f"k-{other}"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "merchant_id"),
        ({"merchant_id": 7}, "customer_id"),
        ({"customer_id": "c"}, "merchant_id"),
        ({"click_id": "zz"}, "click_id"),
        ({"click_id": "0" * 56, "merchant_id": 7}, "click_id"),
        ({"merchant_id": 0, "customer_id": "c"}, "merchant_id"),
    ],
)
async def test_a_reference_that_names_nothing_is_refused(
    conversions: ConversionsService, body: Any, field: str
) -> None:
    refused = await erase(conversions, **body)

    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]


async def test_only_an_admin_erases_and_sees_erasures(conversions: ConversionsService) -> None:
    for role, party in (("merchant", MERCHANT), ("affiliate", 11), ("finance", None)):
        headers = conversions.as_role(role, party)
        posted = await conversions.client.post(
            "/v1/erasures", json={"click_id": conversions.click_id()}, headers=headers
        )
        listed = await conversions.client.get("/v1/erasures", headers=headers)
        assert (posted.status_code, listed.status_code) == (403, 403)
    missing = await conversions.client.get(f"/v1/erasures/{new_id()}", headers=conversions.as_role("admin"))
    assert missing.status_code == 404


async def test_erasures_are_listed_newest_first(conversions: ConversionsService) -> None:
    ids = [(await erase(conversions, click_id=conversions.click_id())).json()["id"] for _ in range(3)]

    page = (await conversions.client.get("/v1/erasures?limit=2", headers=conversions.as_role("admin"))).json()

    assert [item["id"] for item in page["items"]] == ids[:0:-1]
    assert page["next_cursor"]
