"""billable_clicks.v1 → conversions of event `click`."""

from collections.abc import Sequence

from services.conversions.domain.bundle import Bundle
from services.conversions.usecases.record_bundles import record_bundles
from shared.contracts.clicks import BILLABLE_CLICKS_DECODER, BillableClicksSettledV1
from shared.contracts.events import EventUndecodable
from shared.kernel.clock import Clock
from shared.runtime.database import Session
from shared.runtime.event_log.interface import Received


class BillableClicksHandler:
    """Records settled bundles, each once; harmless when they come again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, session: Session, batch: Sequence[Received]) -> None:
        """Raises EventUndecodable for what is no bundle."""
        await record_bundles(session, [_read(received.payload) for received in batch], self._clock.now())


def _read(payload: bytes) -> Bundle:
    event: BillableClicksSettledV1 = BILLABLE_CLICKS_DECODER.decode(payload)
    if event.quantity < 1 or event.part < 1:
        raise EventUndecodable("not a bundle of clicks")
    return Bundle(
        event_id=event.event_id,
        merchant_id=event.merchant_id,
        offer_id=event.offer_id,
        offer_version=event.offer_version,
        affiliate_id=event.affiliate_id,
        hour_at=event.hour_at,
        part=event.part,
        quantity=event.quantity,
        settled_at=event.occurred_at,
    )
