"""The database killed under load: what was answered 2xx is there, once; the rest may be sent again."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.conftest import TestPostgres
from tests.factories.conversions import ConversionsService


@pytest.fixture(scope="module")
def postgres(mortal_postgres: TestPostgres) -> TestPostgres:
    """A server of this module's own, since its tests kill it."""
    return mortal_postgres


async def send_until_taken(service: ConversionsService, fields: dict[str, Any], refusals: list[int]) -> httpx.Response:
    for _ in range(400):
        response = await service.postback(fields)
        if response.status_code in (200, 201):
            return response
        assert response.status_code == 503, response.text
        assert int(response.headers["retry-after"]) >= 1
        refusals.append(response.status_code)
        await asyncio.sleep(0.05)
    raise AssertionError("never taken")


async def test_postgres_killed_under_load_loses_nothing_answered(
    conversions: ConversionsService, postgres: TestPostgres
) -> None:
    offer_id = await conversions.publish()
    sales = [
        {
            "click_id": conversions.click_id(offer_id=offer_id),
            "order_id": conversions.order(),
            "amount": "1",
            "currency": "EUR",
        }
        for _ in range(300)
    ]
    refusals: list[int] = []

    async def merchant(mine: list[dict[str, Any]]) -> list[tuple[str, httpx.Response]]:
        return [(fields["order_id"], await send_until_taken(conversions, fields, refusals)) for fields in mine]

    async def killer() -> None:
        for _ in range(3):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(postgres.kill9)

    killing = asyncio.create_task(killer())
    answered = await asyncio.gather(*(merchant(sales[start::20]) for start in range(20)))
    await killing

    await conversions.reconnect()
    taken = {order: response.json() for of_one in answered for order, response in of_one}
    rows = await conversions.rows(
        "SELECT order_id, id FROM conversion WHERE order_id = ANY(:orders)", orders=[s["order_id"] for s in sales]
    )
    assert {row["order_id"]: str(row["id"]) for row in rows} == {o: a["conversion_id"] for o, a in taken.items()}
    assert len(rows) == 300
    for answer in taken.values():
        events = await conversions.events_of(answer["conversion_id"])
        assert [event["version"] for event in events] == [1]
    assert refusals


async def test_without_a_database_nothing_is_taken_and_credentials_are_still_known(
    conversions: ConversionsService, postgres: TestPostgres
) -> None:
    order = conversions.order()
    await asyncio.to_thread(postgres.kill_only)
    try:
        down = await conversions.postback({"order_id": order})
        forged = await conversions.postback({"order_id": order}, secret="wrong")
    finally:
        await asyncio.to_thread(postgres.restart)
    refusals: list[int] = []
    after = await send_until_taken(conversions, {"order_id": order}, refusals)

    assert (down.status_code, down.json()["code"]) == (503, "unavailable")
    assert forged.status_code == 401
    assert after.status_code == 201


async def test_postgres_that_hangs_under_load_loses_and_doubles_nothing(
    conversions: ConversionsService, postgres: TestPostgres
) -> None:
    offer_id = await conversions.publish()
    sales = [
        {
            "click_id": conversions.click_id(offer_id=offer_id),
            "order_id": conversions.order(),
            "amount": "1",
            "currency": "EUR",
        }
        for _ in range(200)
    ]
    refusals: list[int] = []

    async def merchant(mine: list[dict[str, Any]]) -> list[tuple[str, httpx.Response]]:
        return [(fields["order_id"], await send_until_taken(conversions, fields, refusals)) for fields in mine]

    load = asyncio.gather(*(merchant(sales[start::20]) for start in range(20)))
    await asyncio.sleep(0.1)
    postgres.freeze()
    try:
        async with asyncio.timeout(60):
            while not refusals:
                await asyncio.sleep(0.05)
    finally:
        postgres.thaw()
    answered = await asyncio.wait_for(load, 60)

    await conversions.reconnect()
    taken = {order: response.json() for of_one in answered for order, response in of_one}
    rows = await conversions.rows(
        "SELECT order_id, id FROM conversion WHERE order_id = ANY(:orders)", orders=[s["order_id"] for s in sales]
    )
    assert {row["order_id"]: str(row["id"]) for row in rows} == {o: a["conversion_id"] for o, a in taken.items()}
    assert len(rows) == 200
    for answer in taken.values():
        events = await conversions.events_of(answer["conversion_id"])
        assert [event["version"] for event in events] == [1]
