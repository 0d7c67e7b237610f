"""Pause, resume or end an offer."""

from dataclasses import replace
from datetime import datetime

from services.gateway.domain.offers import Offer, OfferStatus, may_become
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.storage.offer_store import lock_offer, store_offer
from services.gateway.usecases.publish_catalogue import publish_offer
from shared.kernel.changed import Changed
from shared.runtime.database import Session


async def change_offer_status(session: Session, *, offer_id: int, wanted: OfferStatus, now: datetime) -> Changed[Offer]:
    """The offer with its new status, published; as it was when it has that status already.

    Raises NotInCatalogue, CatalogueConflict where the transition table has no such step.
    """
    offer = await lock_offer(session, offer_id)
    if offer is None:
        raise NotInCatalogue("offer")
    if not may_become(offer, wanted):
        return Changed(offer, offer)
    changed = replace(offer, status=wanted, changed_at=now)
    await store_offer(session, changed)
    await publish_offer(session, changed, now)
    return Changed(offer, changed)
