"""The dry run: what a conversion would be worth, to whom it may concern, and nothing is written."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from shared.contracts.catalogue import (
    ConditionV1,
    OfferChangedV1,
    OverrideV1,
    RateV1,
    ReferralV1,
    RuleV1,
    TermV1,
    offer_key,
)
from shared.contracts.events import encode_event
from shared.contracts.topics import CATALOGUE
from shared.runtime.consumer import Received
from shared.runtime.database import Database
from shared.runtime.principal import Role
from shared.runtime.projection import apply_projection
from tests.conftest import TestPostgres
from tests.factories.commissions import FLAT, START, fresh_id, offer_version
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.ledger import Desk, query

PATH = "/v1/pricing/dry-run"
TERM = TermV1(
    event="sale",
    kind="percentage",
    rate_percent="10",
    margin_percent="2",
    rules=[
        RuleV1(
            rank=1,
            name="big orders",
            conditions=[ConditionV1(fact="order_amount", holds="at_least", values=["500"])],
            pays=RateV1(rate_percent="12"),
        )
    ],
    overrides=[OverrideV1(group="gold", pays=RateV1(rate_percent="15"))],
    referral=ReferralV1(rate_percent="1", of="sale"),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """An offer of merchant 7."""

    reader: Reader
    desk: Desk
    offer_id: int

    async def price(self, role: Role = "finance", *, merchant_id: int | None = None, **body: Any) -> Any:
        """Its answer as JSON, with its status."""
        asked = {
            "offer_id": self.offer_id,
            "version": 1,
            "order_amount": {"amount": "100.00", "currency": "EUR"},
        } | body
        answer = await self.reader.send("POST", PATH, role, asked, merchant_id=merchant_id)
        return {"status": answer.status_code, **answer.json()}


@pytest_asyncio.fixture(loop_scope="session")
async def scene(postgres: TestPostgres, worker_database: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    desk, offer_id = Desk(worker_database), fresh_id()
    await desk.publish(offer_version(offer_id, terms=[TERM, FLAT]))
    async with commissions_api(postgres.migrate("commissions"), tmp_path) as reader:
        yield Scene(reader, desk, offer_id)


async def test_it_says_what_decided_and_what_was_asked_before(scene: Scene) -> None:
    small, big = await scene.price(), await scene.price(order_amount={"amount": "500.00", "currency": "EUR"})

    (part,) = small["price"]["parts"]
    assert (part["decided_by"], small["price"]["amount"]["amount"], small["referral"]["amount"]) == (
        "own_rate",
        "10.00",
        "1.00",
    )
    assert part["passed_over"][0]["failed"] == {
        "fact": "order_amount", "holds": "at_least", "values": ["500"], "currency": None, "found": "100.00 EUR",
    }  # fmt: skip
    assert (big["price"]["parts"][0]["name"], big["price"]["charge"]["amount"]) == ("big orders", "70.00")


async def test_groups_refunds_and_other_events_can_be_tried(scene: Scene) -> None:
    gold = await scene.price(groups=["gold"], net_amount={"amount": "50.00", "currency": "EUR"})
    lead = await scene.price(event="lead", order_amount=None)

    assert (gold["price"]["amount"]["amount"], gold["price"]["parts"][0]["group"]) == ("7.50", "gold")
    assert lead["price"]["charge"]["amount"] == "5.50"
    assert not gold["exceeds_order"]


async def test_a_merchant_prices_its_own_offers_and_an_affiliate_none(scene: Scene) -> None:
    assert (await scene.price("merchant", merchant_id=7))["status"] == 200
    assert (await scene.price("merchant", merchant_id=8))["code"] == "offer_version_not_found"
    assert (await scene.price("merchant", merchant_id=8))["status"] == 404
    answer = await scene.reader.send("POST", PATH, "affiliate", {"offer_id": scene.offer_id}, affiliate_id=3)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"event": "install"}, "event"),
        ({"order_amount": None}, "order_amount"),
        ({"order_amount": {"amount": "1.001", "currency": "EUR"}}, "order_amount.amount"),
        ({"order_amount": {"amount": "1", "currency": "XXQ"}}, "order_amount.currency"),
        ({"net_amount": {"amount": "1", "currency": "USD"}}, "net_amount.currency"),
        ({"tax": {"amount": "100.01", "currency": "EUR"}}, "tax"),
        ({"items": [{"amount": {"amount": "60", "currency": "EUR"}}] * 2}, "items"),
        ({"items": [{}] * 51}, "items"),
        ({"subs": {"sub11": "x"}}, "subs.sub11"),
        ({"customer_first_at": "2026-01-01T00:00:00Z"}, "received_at"),
        ({"exchange_rate": "0"}, "exchange_rate"),
        ({"unknown": 1}, "unknown"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_its_field(scene: Scene, body: dict[str, Any], field: str) -> None:
    answer = await scene.price(**body)

    assert answer["status"] == 422
    assert answer["errors"][0]["field"].startswith(field), answer


async def test_another_currency_needs_a_rate(postgres: TestPostgres, scene: Scene) -> None:
    offer_id = fresh_id()
    published = offer_version(offer_id, terms=[TERM])
    await scene.desk.publish(type(published)(**{**_fields(published), "pays_in": "EUR"}))
    dollars = {"amount": "100.00", "currency": "USD"}

    without = await scene.price(offer_id=offer_id, order_amount=dollars)
    converted = await scene.price(offer_id=offer_id, order_amount=dollars, exchange_rate="0.915")

    assert without["errors"][0]["field"] == "exchange_rate"
    assert converted["price"]["amount"] == {"amount": "9.15", "currency": "EUR"}
    assert converted["price"]["rate_used"]["rate"] == "0.915"


def _fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


async def test_it_writes_nothing(scene: Scene, worker_database: Database) -> None:
    counted = "SELECT (SELECT count(*) FROM ledger_transaction), (SELECT count(*) FROM commission_step)"

    before = await query(worker_database, counted)
    await scene.price()

    assert await query(worker_database, counted) == before


async def test_the_current_version_is_taken_where_none_is_named(scene: Scene, worker_database: Database) -> None:
    better = TermV1(event="sale", kind="percentage", rate_percent="11")
    await scene.desk.publish(offer_version(scene.offer_id, 2, terms=[better]))
    offer = OfferChangedV1(
        event_id=uuid4(),
        occurred_at=START,
        offer_id=scene.offer_id,
        merchant_id=7,
        name="Offer",
        status="active",
        current_version=2,
    )
    async with worker_database.transaction() as session:
        key = offer_key(scene.offer_id).encode()
        await apply_projection(session, [Received(CATALOGUE, 0, 0, key, encode_event(offer))])

    current, unknown = await scene.price(version=None), await scene.price(version=None, offer_id=fresh_id())

    assert (current["version"], current["price"]["amount"]["amount"]) == (2, "11.00")
    assert (unknown["status"], unknown["code"]) == (404, "offer_version_not_found")
