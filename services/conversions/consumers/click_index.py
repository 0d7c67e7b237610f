"""clicks.v1 → the click index."""

from collections.abc import Sequence

from services.conversions.domain.conversion import ClickDetails
from services.conversions.storage.click_detail_store import ClickDetailRow, insert_click_details
from services.conversions.usecases.add_click_details import add_details_of_clicks
from shared.contracts.clicks import CLICKS_DECODER, ClickRecordedV1
from shared.contracts.events import EventUndecodable
from shared.kernel.click_id import ClickIdInvalid, read_click_id
from shared.kernel.clock import Clock
from shared.runtime.consumer import Received
from shared.runtime.database import Session


class ClickIndexHandler:
    """Keeps what clicks add, and completes conversions recorded before their click came by."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, session: Session, batch: Sequence[Received]) -> None:
        """Index the clicks of `batch`; harmless when they come again."""
        clicks = [_row(received) for received in batch]
        await insert_click_details(session, clicks, self._clock.now())
        await add_details_of_clicks(session, self._clock, [click.click_id for click in clicks])


def _row(received: Received) -> ClickDetailRow:
    event: ClickRecordedV1 = CLICKS_DECODER.decode(received.payload)
    try:
        click_id = read_click_id(event.click_id)
    except ClickIdInvalid:
        raise EventUndecodable("click_id is not a click ID") from None
    details = ClickDetails(event.subs, event.aff_click_id, event.source, event.creative)
    return ClickDetailRow(click_id, event.merchant_id, event.affiliate_id, details)
