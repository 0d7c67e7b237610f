"""A merchant's offers pause while its prepaid balance is exhausted, and those alone go on afterwards."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Literal

import pytest

from services.gateway.consumers.prefunding import PrefundingHandler
from shared.contracts.catalogue import MoneyV1
from shared.contracts.commissions import PrefundingChangedV1
from shared.contracts.events import encode_event
from shared.contracts.topics import COMMISSIONS
from shared.kernel.ids import new_id
from shared.runtime.consumer import Received
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.gateway import offer_body
from tests.factories.ledger import FixedClock
from tests.integration.gateway.conftest import GatewayClient, Network

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
async def worker(postgres: TestPostgres) -> AsyncIterator[Database]:
    """As the gateway's worker."""
    database = Database(postgres.migrate("gateway"), role="gateway_worker", pool_size=1)
    yield database
    await database.close()


async def told(
    worker: Database,
    merchant_id: int,
    state: Literal["ok", "low", "exhausted"],
    version: int,
    *,
    pauses: bool = True,
    currency: str = "EUR",
) -> None:
    event = PrefundingChangedV1(
        event_id=new_id(),
        occurred_at=NOW,
        merchant_id=merchant_id,
        currency=currency,
        state=state,
        pauses_offers=pauses,
        available=MoneyV1(amount_minor=0, currency=currency),
        block_number=1,
        version=version,
    )
    async with worker.transaction() as session:
        await PrefundingHandler(FixedClock(NOW))(session, [Received(COMMISSIONS, 0, 0, b"k", encode_event(event))])


async def status_of(admin: GatewayClient, offer_id: int) -> str:
    return str((await admin.get(f"/v1/offers/{offer_id}"))["status"])


async def test_offers_pause_while_nothing_is_left_and_go_on_afterwards(
    admin: GatewayClient, network: Network, worker: Database
) -> None:
    merchant_id, offer_id = network.merchant_id, network.offer_id
    by_hand = (await admin.post("/v1/offers", offer_body(merchant_id)))["id"]
    await admin.post(f"/v1/offers/{by_hand}/pause", expect=200)

    await told(worker, merchant_id, "low", 1)
    assert await status_of(admin, offer_id) == "active"
    await told(worker, merchant_id, "exhausted", 2)
    assert await status_of(admin, offer_id) == "paused"
    await told(worker, merchant_id, "low", 3)

    assert await status_of(admin, offer_id) == "active"
    assert await status_of(admin, by_hand) == "paused"


async def test_a_merchant_that_did_not_choose_it_is_not_paused(
    admin: GatewayClient, network: Network, worker: Database
) -> None:
    await told(worker, network.merchant_id, "exhausted", 1, pauses=False)

    assert await status_of(admin, network.offer_id) == "active"


async def test_an_event_that_comes_late_or_again_changes_nothing(
    admin: GatewayClient, network: Network, worker: Database
) -> None:
    await told(worker, network.merchant_id, "ok", 3)
    await told(worker, network.merchant_id, "exhausted", 2)
    assert await status_of(admin, network.offer_id) == "active"

    await told(worker, network.merchant_id, "exhausted", 4)
    await admin.post(f"/v1/offers/{network.offer_id}/resume", expect=200)
    await told(worker, network.merchant_id, "exhausted", 4)
    assert await status_of(admin, network.offer_id) == "active"


async def test_every_balance_must_have_something_left(admin: GatewayClient, network: Network, worker: Database) -> None:
    await told(worker, network.merchant_id, "exhausted", 1)
    await told(worker, network.merchant_id, "exhausted", 1, currency="USD")
    await told(worker, network.merchant_id, "ok", 2)
    assert await status_of(admin, network.offer_id) == "paused"

    await told(worker, network.merchant_id, "ok", 2, currency="USD")
    assert await status_of(admin, network.offer_id) == "active"


async def test_an_offer_that_was_ended_meanwhile_stays_ended(
    admin: GatewayClient, network: Network, worker: Database
) -> None:
    await told(worker, network.merchant_id, "exhausted", 1)
    await admin.post(f"/v1/offers/{network.offer_id}/end", expect=200)

    await told(worker, network.merchant_id, "ok", 2)

    assert await status_of(admin, network.offer_id) == "ended"
