"""Clicks that offers pay for: whatever comes when and how often, each valid one is told of once."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.clicks.consumers.click_log import ClickLogHandler
from services.clicks.domain.billable import APART, hour_of
from services.clicks.storage.retention_store import retention_step
from services.clicks.usecases.erase_clicks import erase_clicks
from services.clicks.usecases.note_billable_clicks import NOTED_UNTIL, PayingVersions
from services.clicks.usecases.settle_billable_clicks import settle_step
from shared.contracts.catalogue import MoneyV1, OfferVersionPublishedV1, TermV1, offer_version_key
from shared.contracts.clicks import ClickRecordedV1
from shared.contracts.erasures import ErasureRequestedV1
from shared.contracts.events import encode_event
from shared.kernel.click_id import Click, ClickFlags, sign_click_id, spell_click_id
from shared.kernel.ids import new_id
from shared.runtime.consumer import Received
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.clicks import SettableClock

PAYS, UNPAID, UNKNOWN = 1, 2, 3
"""Offers: with a term for clicks, without one, and one whose version has not arrived."""

HOUR_AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
_NONCES = iter(range(1, 10**6))
CLICK_TERM = TermV1(
    event="click",
    kind="flat",
    flat_amount=MoneyV1(amount_minor=5, currency="EUR"),
    margin_amount=MoneyV1(amount_minor=1, currency="EUR"),
)
SALE_TERM = TermV1(event="sale", kind="percentage", rate_percent="10", margin_percent="2")


def click(at: datetime, shopper: str | None = "s", *, offer_id: int = PAYS, **fields: Any) -> ClickRecordedV1:
    affiliate_id, flags = fields.pop("affiliate_id", 3), fields.pop("flags", ClickFlags.NONE)
    signed = sign_click_id(Click(flags, at, next(_NONCES), offer_id, affiliate_id, 1), key_id=1, secret=b"k" * 32)
    return ClickRecordedV1(
        event_id=new_id(),
        occurred_at=at,
        click_id=spell_click_id(signed),
        offer_id=offer_id,
        offer_version=1,
        affiliate_id=affiliate_id,
        merchant_id=7,
        flags=int(flags),
        visitor_key=shopper,
        **fields,
    )


class House:
    """The clicks worker's part, on a real database, with a clock that stands where the test puts it."""

    def __init__(self, url: str) -> None:
        self.worker = Database(url, role="clicks_worker")
        self.clock = SettableClock(HOUR_AT)
        self.paying = PayingVersions()

    async def learn(self, offer_id: int, *terms: TermV1) -> None:
        event = OfferVersionPublishedV1(
            event_id=new_id(),
            occurred_at=HOUR_AT,
            offer_id=offer_id,
            version=1,
            merchant_id=7,
            landing_template="https://shop.test/?c={click_id}",
            allowed_hosts=[],
            window_min_seconds=0,
            window_max_seconds=60,
            late_hours=1,
            validation_days=1,
            terms=list(terms),
        )
        async with self.worker.transaction() as session:
            await session.execute(
                text("INSERT INTO projection_entry VALUES (:key, 'offer_version_published', :payload, 1)"),
                {"key": offer_version_key(offer_id, 1), "payload": encode_event(event)},
            )

    async def log(self, *clicks: ClickRecordedV1) -> None:
        batch = [Received("clicks.v1", 0, n, None, encode_event(event)) for n, event in enumerate(clicks)]
        async with self.worker.transaction() as session:
            await ClickLogHandler(self.paying, self.clock)(session, batch)

    async def settle(self, at: datetime) -> None:
        self.clock.instant = at
        while True:
            async with self.worker.transaction() as session:
                if not await settle_step(self.paying)(session, self.clock):
                    return

    async def bundles(self) -> list[dict[str, Any]]:
        async with self.worker.transaction() as session:
            rows = await session.execute(
                text("SELECT key, payload FROM outbox WHERE topic = 'billable_clicks.v1' ORDER BY id")
            )
            events = [(bytes(key), json.loads(payload)) for key, payload in rows]
        assert all(key == str(event["affiliate_id"]).encode() for key, event in events)
        return [event for _, event in events]

    async def clear(self) -> None:
        async with self.worker.transaction() as session:
            await session.execute(text("DELETE FROM outbox"))
            await session.execute(text("DELETE FROM billable_click"))


@pytest.fixture
async def house(postgres: TestPostgres) -> AsyncIterator[House]:
    url = postgres.migrate("clicks")
    connection = await asyncpg.connect(postgres.admin_url("tributary_clicks"))
    await connection.execute("TRUNCATE click, billable_click, billable_bundle, outbox, projection_entry, erased_click")
    await connection.close()
    house = House(url)
    await house.learn(PAYS, SALE_TERM, CLICK_TERM)
    await house.learn(UNPAID, SALE_TERM)
    yield house
    await house.worker.close()


def at(minutes: float) -> datetime:
    return HOUR_AT + timedelta(minutes=minutes)


def told(bundle: dict[str, Any]) -> tuple[Any, ...]:
    return bundle["affiliate_id"], datetime.fromisoformat(bundle["hour_at"]), bundle["part"], bundle["quantity"]


async def test_an_hour_is_told_of_a_quarter_after_its_end_and_not_before(house: House) -> None:
    await house.log(click(at(5), "a"), click(at(6), "b"), click(at(7), "a"), click(at(59), "c", affiliate_id=4))

    await house.settle(at(74.9))
    early = await house.bundles()
    await house.settle(at(75))
    await house.settle(at(600))

    assert early == []
    assert [told(bundle) for bundle in await house.bundles()] == [(3, HOUR_AT, 1, 2), (4, HOUR_AT, 1, 1)]
    assert {bundle["merchant_id"] for bundle in await house.bundles()} == {7}


async def test_only_unflagged_clicks_of_a_shopper_on_an_offer_that_pays_for_them_count(house: House) -> None:
    flagged = [click(at(1), f"f{flag}", flags=ClickFlags(flag)) for flag in (1, 2, 4, 8, 16, 32, 64)]
    await house.log(*flagged, click(at(1), None), click(at(1), "u", offer_id=UNPAID), click(at(1), "good"))

    await house.settle(at(80))

    assert [told(bundle) for bundle in await house.bundles()] == [(3, HOUR_AT, 1, 1)]


async def test_without_a_visitor_network_and_user_agent_tell_shoppers_apart(house: House) -> None:
    same: dict[str, Any] = {"ip_hash": "i", "user_agent": "u"}
    await house.log(
        click(at(1), None, **same), click(at(2), None, **same), click(at(3), None, **same | {"user_agent": "w"})
    )

    await house.settle(at(80))

    assert [bundle["quantity"] for bundle in await house.bundles()] == [2]


async def test_what_comes_later_is_the_next_part_and_judged_by_what_was_settled(house: House) -> None:
    await house.log(click(at(30), "a"))
    await house.settle(at(80))

    await house.log(click(at(10), "a"), click(at(11), "b"))
    await house.settle(at(85))
    await house.log(click(at(12), "b"), click(at(13), "c"))
    await house.settle(at(90))

    assert [told(bundle)[2:] for bundle in await house.bundles()] == [(1, 1), (2, 1), (3, 1)]


async def test_a_part_stays_open_while_a_backlog_comes_in_but_not_for_ever(house: House) -> None:
    await house.log(click(at(1), "a"))
    house.clock.instant = at(100)
    await house.log(click(at(2), "b"))
    await house.settle(at(100.5))
    assert await house.bundles() == []

    house.clock.instant = at(101)
    await house.log(click(at(3), "c"))
    await house.settle(at(102))

    assert [bundle["quantity"] for bundle in await house.bundles()] == [3]

    for minute in range(200, 261):
        house.clock.instant = at(minute)
        await house.log(click(at(120), f"x{minute}"))
        await house.settle(at(minute))
    assert len(await house.bundles()) == 2


async def test_a_click_whose_version_has_not_arrived_waits_and_holds_up_nobody(house: House) -> None:
    await house.log(click(at(1), "a", offer_id=UNKNOWN), click(at(2), "a"))
    await house.settle(at(80))
    before = [bundle["offer_id"] for bundle in await house.bundles()]

    await house.learn(UNKNOWN, CLICK_TERM)
    await house.settle(at(90))

    assert before == [PAYS]
    assert [bundle["offer_id"] for bundle in await house.bundles()] == [PAYS, UNKNOWN]


async def test_one_that_was_erased_before_its_hour_was_settled_is_not_paid_for(house: House) -> None:
    erased, other = click(at(1), "a"), click(at(2), "b")
    await house.log(erased, other)
    request = ErasureRequestedV1(
        event_id=new_id(), occurred_at=at(3), erasure_id=str(new_id()), click_id=erased.click_id
    )
    async with house.worker.transaction() as session:
        await erase_clicks(session, house.clock, [request])
        shoppers = (await session.execute(text("SELECT shopper FROM billable_click ORDER BY clicked_at"))).scalars()
        assert list(shoppers) == [None, "v:b"]

    await house.log(erased)
    await house.settle(at(80))

    assert [bundle["quantity"] for bundle in await house.bundles()] == [1]


async def test_notes_expire_and_what_could_come_after_that_is_not_paid_for(house: House) -> None:
    await house.log(click(at(1), "a"))
    await house.settle(at(80))
    house.clock.instant = HOUR_AT + NOTED_UNTIL + timedelta(days=20)
    async with house.worker.transaction() as session:
        while await retention_step(click_months=120)(session, house.clock):
            pass

    await house.log(click(at(1), "b"))

    async with house.worker.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM billable_click"))).scalar_one() == 0


DRAWN = st.lists(
    st.tuples(st.integers(0, 3 * 24 * 60 - 1), st.sampled_from("ab"), st.sampled_from([3, 4])), min_size=1, max_size=14
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DRAWN, st.integers(0, 2**32), st.integers(1, 4), st.booleans())
async def test_bundles_sum_to_the_valid_clicks_whatever_the_order_and_however_often(
    house: House, drawn: list[tuple[int, str, int]], seed: int, batches: int, is_settled_between: bool
) -> None:
    await house.clear()
    random = Random(seed)
    clicks = [click(at(minute), shopper, affiliate_id=affiliate) for minute, shopper, affiliate in drawn]
    sent = [*clicks, *random.sample(clicks, random.randint(0, len(clicks)))]
    random.shuffle(sent)
    later = HOUR_AT + timedelta(days=4)

    for number in range(batches):
        house.clock.instant = later + timedelta(minutes=10 * number)
        await house.log(*sent[number::batches])
        if is_settled_between:
            await house.settle(later + timedelta(minutes=10 * number + 5))
    await house.settle(later + timedelta(days=1))
    await house.log(*sent)
    await house.settle(later + timedelta(days=2))

    bundles = await house.bundles()
    async with house.worker.transaction() as session:
        rows = (await session.execute(text("SELECT * FROM billable_click"))).mappings().all()
    counted = [row for row in rows if row["is_valid"]]
    assert sum(bundle["quantity"] for bundle in bundles) == len(counted)
    assert {bytes(row["click_id"]) for row in rows if row["is_valid"] is None} == set()
    assert _by_hour(counted) == {
        key: sum(b["quantity"] for b in bundles if told(b)[:2] == key) for key in {told(b)[:2] for b in bundles}
    }
    keys = [told(bundle)[:3] for bundle in bundles]
    assert len(keys) == len(set(keys))
    for row in rows:
        near = [r for r in counted if r is not row and r["shopper"] == row["shopper"] and _is_near(r, row)]
        assert bool(near) != row["is_valid"]
    if not is_settled_between:
        assert {row["clicked_at"] for row in counted} == _first_in_a_day(clicks)


def _is_near(one: Any, other: Any) -> bool:
    return bool(abs(one["clicked_at"] - other["clicked_at"]) < APART)


def _by_hour(counted: Sequence[Any]) -> dict[tuple[int, datetime], int]:
    found: dict[tuple[int, datetime], int] = {}
    for row in counted:
        key = (row["affiliate_id"], hour_of(row["clicked_at"]))
        found[key] = found.get(key, 0) + 1
    return found


def _first_in_a_day(clicks: Sequence[ClickRecordedV1]) -> set[datetime]:
    """What is valid, said another way: walk each shopper's clicks by time, and skip a day after each that counts."""
    valid = set()
    for shopper in "ab":
        free_at = None
        for time in sorted(c.occurred_at for c in clicks if c.visitor_key == shopper):
            if free_at is None or time >= free_at:
                valid.add(time)
                free_at = time + APART
    return valid
