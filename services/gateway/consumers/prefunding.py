"""commissions.v1 → offers that pause while their merchant's prepaid balance is exhausted."""

from collections.abc import Sequence

from services.gateway.usecases.pause_unfunded_offers import apply_prefunding
from shared.contracts.commissions import COMMISSIONS_DECODER, PrefundingChangedV1
from shared.kernel.clock import Clock
from shared.runtime.consumer import Received
from shared.runtime.database import Session


class PrefundingHandler:
    """Every other event of the topic is read over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, session: Session, batch: Sequence[Received]) -> None:
        """Apply `batch`; harmless when it comes again, or late."""
        events = (COMMISSIONS_DECODER.decode(received.payload) for received in batch)
        for event in events:
            if isinstance(event, PrefundingChangedV1):
                await apply_prefunding(session, event, now=self._clock.now())
