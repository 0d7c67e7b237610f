"""Erase what clicks recorded of a shopper, from the click log, the event log and dead letters, and keep it away."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from services.clicks.storage.erasure_store import add_tombstones, blank_clicks, find_erased_since
from shared.contracts.clicks import CLICKS_DECODER, without_shopper
from shared.contracts.erasures import ClickErasedV1, ErasureRequestedV1
from shared.contracts.events import EventUndecodable, encode_event
from shared.contracts.topics import CLICKS, CLICKS_ERASED
from shared.kernel.click_id import read_click_id, spell_click_id
from shared.kernel.clock import Clock
from shared.kernel.ids import new_id
from shared.runtime.database import Session
from shared.runtime.log_copies import drop_letters, rewrite_log
from shared.runtime.outbox import OutgoingEvent, append

LOOK_BACK: Final = timedelta(minutes=10)
"""A click that was being logged while it was erased: a matter of one transaction, not of minutes."""

_UNREADABLE: Final = b"{}"


async def erase_clicks(session: Session, clock: Clock, requested: Sequence[ErasureRequestedV1]) -> None:
    """Erase each, and report it done in the same transaction. Harmless when asked again."""
    now = clock.now()
    click_ids = {read_click_id(request.click_id) for request in requested}
    await add_tombstones(session, click_ids, now)
    await blank_clicks(session, click_ids)
    spelt = [spell_click_id(click_id) for click_id in click_ids]
    await rewrite_log(session, topic=CLICKS, texts=spelt, rewrite=_without_shopper)
    await drop_letters(session, topic=CLICKS, texts=spelt)
    done = [
        ClickErasedV1(event_id=new_id(), occurred_at=now, erasure_id=r.erasure_id, click_id=r.click_id)
        for r in requested
    ]
    await append(session, [OutgoingEvent(CLICKS_ERASED, None, event.event_id, encode_event(event)) for event in done])


async def erase_missed_clicks(session: Session, clock: Clock) -> int:
    """Blank those of the last minutes that were being logged at the same moment; gives how many."""
    recent: Collection[bytes] = await find_erased_since(session, clock.now() - LOOK_BACK)
    return await blank_clicks(session, recent) if recent else 0


def _without_shopper(payload: bytes) -> bytes:
    try:
        return encode_event(without_shopper(CLICKS_DECODER.decode(payload)))
    except EventUndecodable:  # nobody can read it, so nobody needs it
        return _UNREADABLE
