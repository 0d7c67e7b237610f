"""Carry erasures out in this service's tables, and tell clicks which clicks are meant. No event changes."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.conversions.storage.erasure_store import (
    ErasureRow,
    add_erased_clicks,
    blank_conversions_of_clicks,
    blank_conversions_of_customer,
    find_clicks_of,
    find_erased_since,
    forget_kept_answers,
    lock_open_erasure,
    mark_executed,
)
from shared.contracts.erasures import ErasureRequestedV1
from shared.contracts.events import encode_event
from shared.contracts.topics import CLICKS, ERASURES
from shared.kernel.click_id import spell_click_id
from shared.kernel.clock import Clock
from shared.kernel.ids import new_id
from shared.runtime.database import Session
from shared.runtime.log_copies import drop_letters
from shared.runtime.outbox import OutgoingEvent, append

BATCH: Final = 500
"""Conversions of one customer taken in one transaction."""

LOOK_BACK: Final = timedelta(minutes=10)
"""A postback or a click that was being recorded while it was erased: a matter of one transaction, not of minutes."""


async def execute_erasures(session: Session, clock: Clock) -> int:
    """One batch of the oldest open request; else what slipped in beside a recent one. Gives how much was done."""
    now = clock.now()
    erasure = await lock_open_erasure(session)
    if erasure is None:
        return await _erase_missed(session, now - LOOK_BACK)
    taken = await _blank_customer(session, erasure, now)
    if taken < BATCH:
        await _finish(session, erasure, now)
    return max(taken, 1)


async def tell_clicks(session: Session, erasure_id: UUID, click_ids: Collection[bytes], now: datetime) -> None:
    """Ask clicks to erase these."""
    requested = [
        ErasureRequestedV1(
            event_id=new_id(), occurred_at=now, erasure_id=str(erasure_id), click_id=spell_click_id(click_id)
        )
        for click_id in click_ids
    ]
    await append(session, [OutgoingEvent(ERASURES, None, event.event_id, encode_event(event)) for event in requested])


async def _blank_customer(session: Session, erasure: ErasureRow, now: datetime) -> int:
    if erasure.merchant_id is None:
        return 0
    found = await blank_conversions_of_customer(
        session, merchant_id=erasure.merchant_id, customer_id=erasure.reference_hash, limit=BATCH
    )
    click_ids = {click_id for click_id in found if click_id is not None}
    await tell_clicks(session, erasure.id, await add_erased_clicks(session, erasure.id, click_ids, now), now)
    return len(found)


async def _finish(session: Session, erasure: ErasureRow, now: datetime) -> None:
    click_ids = await find_clicks_of(session, erasure.id)
    await blank_conversions_of_clicks(session, click_ids)
    spelt = [spell_click_id(click_id) for click_id in click_ids]
    if spelt:
        await drop_letters(session, topic=CLICKS, texts=spelt)
    await forget_kept_answers(session, [*spelt, erasure.reference_hash])
    await mark_executed(session, erasure.id, now)


async def _erase_missed(session: Session, since: datetime) -> int:
    customers, click_ids = await find_erased_since(session, since)
    missed = 0
    for merchant_id, customer_id in customers:
        missed += len(
            await blank_conversions_of_customer(session, merchant_id=merchant_id, customer_id=customer_id, limit=BATCH)
        )
    return missed + (await blank_conversions_of_clicks(session, click_ids) if click_ids else 0)
