"""Keep the catalogue, and let the conversions go on that waited for what has arrived."""

from collections.abc import Sequence

from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.storage.commission_store import find_waiting_for, lock_offer_version_arrivals
from services.commissions.usecases.apply_conversions import apply_conversions
from services.commissions.usecases.find_offer_versions import OfferVersions
from shared.contracts.catalogue import CATALOGUE_DECODER, OfferVersionPublishedV1
from shared.kernel.clock import Clock
from shared.runtime.consumer import Received
from shared.runtime.database import Session
from shared.runtime.projection import apply_projection


async def learn_catalogue(
    session: Session,
    batch: Sequence[Received],
    *,
    offer_versions: OfferVersions,
    clock: Clock,
    rate_days_max: int = RATE_DAYS_MAX,
) -> int:
    """Store a batch of catalogue.v1; gives how many ledger transactions the waiting conversions came to.

    Raises: EventUndecodable.
    """
    events = [CATALOGUE_DECODER.decode(received.payload) for received in batch]
    arrived = [(event.offer_id, event.version) for event in events if isinstance(event, OfferVersionPublishedV1)]
    if arrived:
        await lock_offer_version_arrivals(session)
    await apply_projection(session, batch)
    waiting = await find_waiting_for(session, arrived) if arrived else []
    return await apply_conversions(
        session, [], offer_versions=offer_versions, clock=clock, again=waiting, rate_days_max=rate_days_max
    )
