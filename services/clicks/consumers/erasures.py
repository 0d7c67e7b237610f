"""erasures.v1 → the click log, the event log and dead letters without a shopper's values."""

from collections.abc import Sequence

from services.clicks.usecases.erase_clicks import erase_clicks
from shared.contracts.erasures import ERASURES_DECODER, ErasureRequestedV1
from shared.contracts.events import EventUndecodable
from shared.kernel.click_id import ClickIdInvalid, read_click_id
from shared.kernel.clock import Clock
from shared.runtime.database import Session
from shared.runtime.event_log.interface import Received


class ErasureHandler:
    """Erases the clicks of a batch together: finding every copy costs a scan."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, session: Session, batch: Sequence[Received]) -> None:
        """Raises EventUndecodable for what names no click."""
        await erase_clicks(session, self._clock, [_read(received.payload) for received in batch])


def _read(payload: bytes) -> ErasureRequestedV1:
    event: ErasureRequestedV1 = ERASURES_DECODER.decode(payload)
    try:
        read_click_id(event.click_id)
    except ClickIdInvalid:
        raise EventUndecodable("click_id is not a click ID") from None
    return event
