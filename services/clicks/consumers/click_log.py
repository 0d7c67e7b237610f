"""clicks.v1 → the click log, and the notes of clicks that offers pay for."""

from collections.abc import Sequence
from datetime import timedelta

from services.clicks.storage.click_store import ClickRow
from services.clicks.usecases.log_clicks import log_clicks
from services.clicks.usecases.note_billable_clicks import PayingVersions, note_billable_clicks
from shared.contracts.clicks import CLICKS_DECODER, ClickRecordedV1
from shared.contracts.events import EventUndecodable
from shared.kernel.click_id import ClickIdInvalid, read_click_id
from shared.kernel.clock import Clock
from shared.runtime.consumer import UnprocessableEvent
from shared.runtime.database import Session
from shared.runtime.event_log.interface import Received


class ClickLogHandler:
    """Logs clicks, and notes those that may be paid for, in the same transaction."""

    def __init__(self, paying: PayingVersions, clock: Clock) -> None:
        self._paying = paying
        self._clock = clock

    async def __call__(self, session: Session, batch: Sequence[Received]) -> None:
        """Raises UnprocessableEvent for what is no click. Harmless when it comes again."""
        logged = await log_clicks(session, [_click_of(received.payload) for received in batch])
        await note_billable_clicks(session, self._paying, logged, self._clock.now())


def _click_of(payload: bytes) -> ClickRow:
    try:
        event: ClickRecordedV1 = CLICKS_DECODER.decode(payload)
        click_id = read_click_id(event.click_id)
    except (EventUndecodable, ClickIdInvalid) as fault:
        raise UnprocessableEvent(str(fault)) from None
    if event.occurred_at.tzinfo is None or event.occurred_at.utcoffset() != timedelta(0):
        raise UnprocessableEvent("occurred_at must be in UTC")
    return ClickRow(
        click_id=click_id,
        clicked_at=event.occurred_at,
        offer_id=event.offer_id,
        offer_version=event.offer_version,
        affiliate_id=event.affiliate_id,
        merchant_id=event.merchant_id,
        flags=event.flags,
        subs=event.subs,
        aff_click_id=event.aff_click_id,
        source=event.source,
        creative=event.creative,
        ad_click_ids=event.ad_click_ids,
        deep_link=event.deep_link,
        referrer_host=event.referrer_host,
        user_agent=event.user_agent,
        ip_hash=event.ip_hash,
        visitor_key=event.visitor_key,
        consent=event.consent,
    )
