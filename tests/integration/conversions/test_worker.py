"""The background process on the embedded log: the catalogue and clicks come in, conversions go out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from services.conversions.bootstrap import build_worker
from services.conversions.settings import ConversionsSettings
from shared.contracts.catalogue import OfferVersionPublishedV1, offer_version_key
from shared.contracts.clicks import ClickRecordedV1
from shared.contracts.events import Event, encode_event
from shared.contracts.topics import CATALOGUE, CLICKS, TOPICS
from shared.kernel.ids import new_id
from shared.runtime.database import Database
from shared.runtime.event_log.postgres import PostgresPublisher
from shared.runtime.outbox import OutgoingEvent, append
from shared.runtime.process import Runnable
from shared.runtime.relay import Relay
from tests.conftest import TestPostgres
from tests.factories.conversions import AFFILIATE, LEAD, MERCHANT, SALE, ConversionsService, free_offer_id


@asynccontextmanager
async def producer(postgres: TestPostgres, service: str) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """A way to publish as another service would: through its outbox and a relay."""
    database = Database(postgres.migrate(service), role=f"{service}_worker", pool_size=2)
    relay = Relay(database=database, publisher=PostgresPublisher(topics=TOPICS), service=service)
    running = asyncio.create_task(relay.run())

    async def publish(topic: str, key: str | None, event: Event) -> None:
        outgoing = OutgoingEvent(topic, None if key is None else key.encode(), event.event_id, encode_event(event))
        async with database.transaction() as session:
            await append(session, [outgoing])

    try:
        yield publish
    finally:
        relay.stop()
        await running
        await database.close()


def settings_of(postgres: TestPostgres) -> ConversionsSettings:
    return ConversionsSettings(
        environment="test",
        broker="embedded",
        database_url_conversions=SecretStr(postgres.url("conversions")),
        database_url_gateway=SecretStr(postgres.url("conversions", database_of="gateway")),
        database_url_clicks=SecretStr(postgres.url("conversions", database_of="clicks")),
    )


async def until(check: Callable[[], Awaitable[Any]], seconds: float = 15.0) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := await check()):
            await asyncio.sleep(0.02)
    return found


async def test_events_come_in_and_go_out(conversions: ConversionsService, postgres: TestPostgres) -> None:
    offer_id = free_offer_id() + 5_000
    click_id = conversions.click_id(offer_id=offer_id)
    sale = {"click_id": click_id, "order_id": conversions.order(), "amount": "5.00", "currency": "EUR"}
    version = OfferVersionPublishedV1(
        event_id=new_id(),
        occurred_at=datetime.now(UTC),
        offer_id=offer_id,
        version=1,
        merchant_id=MERCHANT,
        landing_template="https://shop.test/",
        allowed_hosts=["shop.test"],
        window_min_seconds=0,
        window_max_seconds=86_400,
        late_hours=0,
        validation_days=0,
        terms=[SALE, LEAD],
    )
    click = ClickRecordedV1(
        event_id=new_id(),
        occurred_at=datetime.now(UTC),
        click_id=click_id,
        offer_id=offer_id,
        offer_version=1,
        affiliate_id=AFFILIATE,
        merchant_id=MERCHANT,
        subs={"sub1": "mail"},
    )
    waiting = (await conversions.postback(sale)).json()
    worker = build_worker(settings_of(postgres))
    parts: list[Runnable] = [
        worker.relay,
        worker.catalogue,
        worker.click_index,
        worker.approvals,
        worker.waiting,
        worker.click_details,
    ]
    tasks = [asyncio.create_task(part.run()) for part in parts]

    try:
        async with producer(postgres, "gateway") as from_gateway, producer(postgres, "clicks") as from_clicks:
            await from_gateway(CATALOGUE, offer_version_key(offer_id, 1), version)
            await from_clicks(CLICKS, None, click)

            async def settled() -> list[Any]:
                return await conversions.rows(
                    "SELECT * FROM conversion WHERE id = :id AND status = 'approved' AND has_details",
                    id=waiting["conversion_id"],
                )

            await until(settled)

            async def stamped() -> bool:
                rows = await conversions.rows(
                    'SELECT count(*) FILTER (WHERE "offset" IS NULL) AS n FROM outbox WHERE key = :key',
                    key=waiting["conversion_id"].encode(),
                )
                return bool(rows[0]["n"] == 0)

            await until(stamped)
    finally:
        for part in parts:
            part.stop()
        await asyncio.gather(*tasks)
        await worker.database.close()

    assert waiting["status"] == "waiting"
    events = await conversions.events_of(waiting["conversion_id"])
    assert [event["version"] for event in events] == [1, 2, 3, 4]
    assert {event["change"] for event in events[1:]} == {"attributed", "approved", "click_details_added"}
    assert events[-1]["subs"] == {"sub1": "mail"}
    await conversions.api.follower.load()
    assert conversions.api.desk.catalogue.find_version(offer_id, 1) is not None
