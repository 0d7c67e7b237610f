"""clicks-erased.v1 → what an erasure still waits for."""

from collections.abc import Sequence
from uuid import UUID

from services.conversions.storage.erasure_store import mark_clicks_done
from shared.contracts.erasures import CLICKS_ERASED_DECODER, ClickErasedV1
from shared.contracts.events import EventUndecodable
from shared.kernel.click_id import ClickIdInvalid, read_click_id
from shared.kernel.clock import Clock
from shared.runtime.database import Session
from shared.runtime.event_log.interface import Received


class ClicksErasedHandler:
    """Notes what clicks reports; harmless when it comes again or names a request that has expired."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, session: Session, batch: Sequence[Received]) -> None:
        """Raises EventUndecodable for what names no request or no click."""
        await mark_clicks_done(session, [_read(received.payload) for received in batch], self._clock.now())


def _read(payload: bytes) -> tuple[UUID, bytes]:
    event: ClickErasedV1 = CLICKS_ERASED_DECODER.decode(payload)
    try:
        return UUID(event.erasure_id), read_click_id(event.click_id)
    except (ClickIdInvalid, ValueError):
        raise EventUndecodable("not a request and a click ID") from None
