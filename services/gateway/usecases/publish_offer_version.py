"""Change an offer's terms: by a new version, never in place."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from services.gateway.domain.cap_rules import check_caps_stay
from services.gateway.domain.offers import Offer, OfferVersion, VersionContent, following_version
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.storage.offer_store import find_version, insert_version, list_caps, lock_offer, store_offer
from services.gateway.usecases.check_overrides import check_overrides
from services.gateway.usecases.publish_catalogue import publish_offer
from shared.kernel.changed import Changed
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session


async def publish_offer_version(
    session: Session,
    *,
    offer_id: int,
    merchant_id: int | None,
    content: VersionContent,
    amend: Callable[[Offer], Offer],
    now: datetime,
) -> Changed[tuple[Offer, OfferVersion]]:
    """The offer at its next version, both published, and as it was; clicks before this moment keep the old one (I10).

    merchant_id: as the caller believes it, or None. amend: what else changes of the offer (name, fallback URL).
    Raises NotInCatalogue, CatalogueConflict for an ended offer or a cap that counts something else than before,
    InvalidValue for another merchant or an unknown affiliate.
    """
    offer = await lock_offer(session, offer_id)
    if offer is None:
        raise NotInCatalogue("offer")
    if merchant_id not in (None, offer.merchant_id):
        raise InvalidValue("merchant_id", "merchant_fixed", "an offer stays its merchant's")
    number = following_version(offer)
    await check_overrides(session, content.terms)
    if content.caps:
        check_caps_stay(content.caps, await list_caps(session, offer_id))
    last = await find_version(session, offer_id=offer_id, version=offer.current_version)
    assert last is not None  # the foreign key's other end
    before, offer = (offer, last), replace(amend(offer), current_version=number, changed_at=now)
    version = OfferVersion(
        offer_id=offer_id, version=number, merchant_id=offer.merchant_id, content=content, created_at=now
    )
    await insert_version(session, version)
    await store_offer(session, offer)
    await publish_offer(session, offer, now, new_versions=[version])
    return Changed(before, (offer, version))
