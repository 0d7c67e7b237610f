"""An erased click leaves nothing of its shopper in the click log, the event log or dead letters, and stays erased."""

# ruff: noqa: F811  (`house` is a fixture)

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.clicks.consumers.erasures import ErasureHandler
from services.clicks.usecases.erase_clicks import erase_missed_clicks
from shared.contracts.clicks import CLICKS_DECODER, ClickRecordedV1
from shared.contracts.erasures import CLICKS_ERASED_DECODER, ErasureRequestedV1
from shared.contracts.events import EventUndecodable, encode_event
from shared.contracts.topics import CLICKS, CLICKS_ERASED, ERASURES
from shared.kernel.ids import new_id
from shared.runtime.event_log.interface import Received
from shared.runtime.outbox import OutgoingEvent, append
from tests.factories.clicks import NOON, SettableClock
from tests.integration.clicks.test_click_log import House, click_event, house  # noqa: F401

PERSONAL: dict[str, Any] = {
    "subs": {"sub1": "planted-sub"},
    "aff_click_id": "planted-aff",
    "source": "planted-source",
    "creative": "planted-creative",
    "ad_click_ids": {"gclid": "planted-gclid"},
    "deep_link": "https://shop.example/planted",
    "referrer_host": "planted.example",
    "user_agent": "planted-agent",
    "ip_hash": "planted-hash",
    "visitor_key": "planted-key",
    "consent": True,
}


async def erase(house: House, *clicks: ClickRecordedV1) -> None:
    requests = [
        ErasureRequestedV1(event_id=new_id(), occurred_at=NOON, erasure_id=str(new_id()), click_id=click.click_id)
        for click in clicks
    ]
    batch = [Received(ERASURES, 0, place, None, encode_event(event)) for place, event in enumerate(requests)]
    async with house.worker.transaction() as session:
        await ErasureHandler(SettableClock(NOON))(session, batch)


async def rows(house: House, statement: str) -> list[Any]:
    async with house.worker.transaction() as session:
        return list((await session.execute(text(statement))).mappings().all())


@pytest.fixture
async def copies(house: House) -> list[ClickRecordedV1]:
    """Two clicks, each in the click log, in the event log and in a dead letter."""
    clicks = [click_event(**PERSONAL), click_event(**PERSONAL)]
    await house.log(*clicks)
    async with house.worker.transaction() as session:
        for name in ("outbox", "dead_letter"):
            await session.execute(text(f"DELETE FROM {name}"))
        await append(session, [OutgoingEvent(CLICKS, None, c.event_id, encode_event(c)) for c in clicks])
        await append(session, [OutgoingEvent(CLICKS, None, new_id(), b"\xff no event " + clicks[0].click_id.encode())])
        for click in clicks:
            await session.execute(
                text(
                    'INSERT INTO dead_letter (consumer, topic, partition, "offset", payload, reason, failed_at)'
                    " VALUES ('c', 'clicks.v1', 0, 0, :payload, 'r', now())"
                ),
                {"payload": encode_event(click)},
            )
    return clicks


async def test_every_copy_of_an_erased_click_is_blank_and_the_others_are_whole(
    house: House, copies: list[ClickRecordedV1]
) -> None:
    erased, other = copies

    await erase(house, erased)

    logged = {row["user_agent"]: row for row in await rows(house, "SELECT * FROM click")}
    assert set(logged) == {None, "planted-agent"}
    assert "planted" not in str(dict(logged[None]))
    assert (logged[None]["affiliate_id"], logged[None]["clicked_at"]) == (3, NOON)
    payloads = [
        bytes(row["payload"])
        for row in await rows(house, "SELECT payload FROM outbox WHERE topic = 'clicks.v1' ORDER BY id")
    ]
    assert [b"planted" in payload for payload in payloads] == [False, True, False]
    assert CLICKS_DECODER.decode(payloads[0]).click_id == erased.click_id
    letters = await rows(house, "SELECT payload FROM dead_letter")
    assert [other.click_id.encode() in bytes(row["payload"]) for row in letters] == [True]
    done = await rows(house, "SELECT payload FROM outbox WHERE topic = 'clicks-erased.v1'")
    assert [CLICKS_ERASED_DECODER.decode(bytes(row["payload"])).click_id for row in done] == [erased.click_id]


async def test_a_replay_or_a_late_event_brings_nothing_back(house: House, copies: list[ClickRecordedV1]) -> None:
    late = click_event(**PERSONAL)
    await erase(house, copies[0], late)

    for _ in range(3):
        await house.log(*copies, late)

    found = {bytes(row["click_id"]): row for row in await rows(house, "SELECT * FROM click")}
    assert len(found) == 3
    assert sum("planted" in str(dict(row)) for row in found.values()) == 1


async def test_a_click_that_was_being_logged_meanwhile_is_caught(house: House, copies: list[ClickRecordedV1]) -> None:
    await erase(house, copies[0])
    async with house.worker.transaction() as session:
        await session.execute(text("UPDATE click SET user_agent = 'planted-agent'"))

    async with house.worker.transaction() as session:
        first = await erase_missed_clicks(session, SettableClock(NOON + timedelta(minutes=1)))
    async with house.worker.transaction() as session:
        second = await erase_missed_clicks(session, SettableClock(NOON + timedelta(minutes=1)))

    assert (first, second) == (1, 0)
    assert sum(row["user_agent"] is None for row in await rows(house, "SELECT user_agent FROM click")) == 1


async def test_erasing_again_changes_nothing_and_reports_again(house: House, copies: list[ClickRecordedV1]) -> None:
    await erase(house, copies[0])
    before = await rows(house, "SELECT payload FROM outbox WHERE topic = 'clicks.v1' ORDER BY id")

    await erase(house, copies[0])

    assert await rows(house, "SELECT payload FROM outbox WHERE topic = 'clicks.v1' ORDER BY id") == before
    assert len(await rows(house, f"SELECT 1 FROM outbox WHERE topic = '{CLICKS_ERASED}'")) == 2


async def test_what_names_no_click_is_a_dead_letter(house: House) -> None:
    event = ErasureRequestedV1(event_id=new_id(), occurred_at=NOON, erasure_id="x", click_id="not-a-click")
    for payload in (encode_event(event), json.dumps({"type": "unheard_of"}).encode()):
        with pytest.raises(EventUndecodable):
            async with house.worker.transaction() as session:
                await ErasureHandler(SettableClock(NOON))(session, [Received(ERASURES, 0, 0, None, payload)])
