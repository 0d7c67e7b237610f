"""The click log: once per click however often it arrives, by month, and each affiliate sees its own."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text

from services.clicks.consumers.click_log import ClickLogHandler
from services.clicks.storage.click_store import ClickFilter, list_clicks
from services.clicks.usecases.note_billable_clicks import PayingVersions
from shared.contracts.clicks import ClickRecordedV1
from shared.contracts.events import encode_event
from shared.kernel.click_id import Click, ClickFlags, sign_click_id, spell_click_id
from shared.runtime.consumer import Received, UnprocessableEvent
from shared.runtime.database import Database, Tenant
from tests.conftest import TestPostgres
from tests.factories.clicks import NOON, SettableClock

SECRET = b"k" * 32
handle_clicks = ClickLogHandler(PayingVersions(), SettableClock())


class House:
    """The clicks database through each of its roles."""

    def __init__(self, url: str) -> None:
        self.worker = Database(url, role="clicks_worker")
        self.api = Database(url, role="clicks_api")
        self.staff = Database(url, role="clicks_staff")

    async def log(self, *events: ClickRecordedV1) -> None:
        batch = [Received("clicks.v1", 0, n, None, encode_event(event)) for n, event in enumerate(events)]
        async with self.worker.transaction() as session:
            await handle_clicks(session, batch)

    async def read(self, database: Database, tenant: Tenant | None = None, **wanted: Any) -> list[Any]:
        async with database.transaction(tenant=tenant) as session:
            return list(await list_clicks(session, ClickFilter(**wanted), 1_000))


@pytest.fixture
async def house(postgres: TestPostgres) -> AsyncIterator[House]:
    house = House(postgres.migrate("clicks"))
    connection = await asyncpg.connect(postgres.admin_url("tributary_clicks"))
    await connection.execute("TRUNCATE click")
    await connection.close()
    yield house
    for database in (house.worker, house.api, house.staff):
        await database.close()


_NONCES = iter(range(1, 10**6))


def click_event(affiliate_id: int = 3, *, clicked_at: datetime = NOON, **fields: Any) -> ClickRecordedV1:
    """A recorded click with a click ID of its own."""
    click = Click(ClickFlags(fields.get("flags", 0)), clicked_at, next(_NONCES), 1, affiliate_id, 1)
    return ClickRecordedV1(
        event_id=uuid4(),
        occurred_at=clicked_at,
        click_id=spell_click_id(sign_click_id(click, key_id=1, secret=SECRET)),
        offer_id=1,
        offer_version=1,
        affiliate_id=affiliate_id,
        merchant_id=7,
        **fields,
    )


async def test_a_click_that_arrives_three_times_is_one_row(house: House) -> None:
    events = [click_event(subs={"sub1": f"s{n}"}) for n in range(5)]

    await house.log(*events, *events)
    await house.log(*reversed(events))
    await house.log(events[2])

    assert sorted(row.subs["sub1"] for row in await house.read(house.staff)) == ["s0", "s1", "s2", "s3", "s4"]


async def test_every_field_is_kept(house: House) -> None:
    event = click_event(
        flags=int(ClickFlags.ROBOT),
        subs={"sub1": "ä"},
        aff_click_id="mine",
        source="s",
        creative="c",
        ad_click_ids={"gclid": "g"},
        deep_link="https://shop.example/x",
        referrer_host="news.example",
        user_agent="UA",
        ip_hash="a" * 32,
        visitor_key="b" * 32,
        consent=True,
    )

    await house.log(event)

    async with house.staff.transaction() as session:
        row = (await session.execute(text("SELECT * FROM click"))).mappings().one()
    for name in ("offer_id", "affiliate_id", "merchant_id", "flags", "subs", "aff_click_id", "source", "creative"):
        assert row[name] == getattr(event, name)
    for name in ("ad_click_ids", "deep_link", "referrer_host", "user_agent", "ip_hash", "visitor_key", "consent"):
        assert row[name] == getattr(event, name)
    assert row["clicked_at"] == event.occurred_at


async def test_months_are_made_as_clicks_need_them(house: House) -> None:
    ends = [datetime(2031, 1, 31, 23, 59, 59, 999_000, tzinfo=UTC), datetime(2031, 2, 1, tzinfo=UTC)]

    await house.log(*(click_event(clicked_at=at) for at in ends))

    async with house.staff.transaction() as session:
        found = await session.execute(text("SELECT tableoid::regclass::text FROM click ORDER BY clicked_at"))
    assert found.scalars().all() == ["click_2031_01", "click_2031_02"]


async def test_what_is_no_click_is_never_logged(house: House) -> None:
    good = click_event()
    for payload in (b"{}", b"\xff", encode_event(good).replace(good.click_id.encode(), b"v" * 55 + b"w")):
        with pytest.raises(UnprocessableEvent):
            async with house.worker.transaction() as session:
                await handle_clicks(session, [Received("clicks.v1", 0, 0, None, payload)])

    assert await house.read(house.staff) == []


async def test_each_tenant_sees_its_own_clicks_and_nobody_without_one_sees_any(house: House) -> None:
    await house.log(click_event(3), click_event(3), click_event(4))

    assert [row.affiliate_id for row in await house.read(house.api, Tenant(affiliate_id=3))] == [3, 3]
    assert await house.read(house.api, Tenant(affiliate_id=3), affiliate_id=4) == []
    assert len(await house.read(house.api, Tenant(merchant_id=7))) == 3
    assert await house.read(house.api, Tenant(merchant_id=3)) == []
    assert await house.read(house.api) == []
    assert len(await house.read(house.staff)) == 3


async def test_nobody_reads_a_partition_past_its_table(house: House) -> None:
    await house.log(click_event())

    for database in (house.api, house.staff, house.worker):
        with pytest.raises(Exception, match="permission denied"):
            async with database.transaction() as session:
                await session.execute(text("SELECT * FROM click_2026_11"))


async def test_tenants_write_nothing(house: House) -> None:
    await house.log(click_event())

    for statement in ("DELETE FROM click", "UPDATE click SET flags = 0", "SELECT ensure_click_partition(now())"):
        for database in (house.api, house.staff):
            with pytest.raises(Exception, match="permission denied"):
                async with database.transaction(tenant=None) as session:
                    await session.execute(text(statement))


async def test_filters_and_pages_are_newest_first(house: House) -> None:
    events = [click_event(clicked_at=NOON + timedelta(minutes=n // 2), subs={"sub1": f"s{n}"}) for n in range(10)]
    await house.log(*events)

    seen: list[str] = []
    wanted = ClickFilter(affiliate_id=3)
    while True:
        async with house.api.transaction(tenant=Tenant(affiliate_id=3)) as session:
            page = await list_clicks(session, wanted, 3)
        if not page:
            break
        seen += [row.subs["sub1"] for row in page]
        wanted = replace(wanted, before=(page[-1].clicked_at, page[-1].click_id))

    assert sorted(seen) == sorted(f"s{n}" for n in range(10))
    minutes = [int(sub[1:]) // 2 for sub in seen]
    assert minutes == sorted(minutes, reverse=True)
    assert len(await house.read(house.staff, sub1="s4")) == 1
    assert (
        len(await house.read(house.staff, from_at=NOON + timedelta(minutes=1), to_at=NOON + timedelta(minutes=3))) == 4
    )
    assert await house.read(house.staff, offer_id=2) == []
