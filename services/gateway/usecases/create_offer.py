"""Open an offer with its first version."""

from datetime import datetime

from services.gateway.domain.offers import Offer, OfferVersion, VersionContent
from services.gateway.storage.offer_store import insert_offer, insert_version
from services.gateway.storage.party_store import find_merchant
from services.gateway.usecases.check_overrides import check_overrides
from services.gateway.usecases.publish_catalogue import publish_offer
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session


async def create_offer(
    session: Session,
    *,
    merchant_id: int,
    name: str,
    fallback_url: str | None,
    content: VersionContent,
    now: datetime,
) -> tuple[Offer, OfferVersion]:
    """A new active offer at version 1, both published. Raises InvalidValue for an unknown merchant or affiliate."""
    if await find_merchant(session, merchant_id) is None:
        raise InvalidValue("merchant_id", "merchant_unknown", "names no merchant")
    await check_overrides(session, content.terms)
    offer = await insert_offer(session, merchant_id=merchant_id, name=name, fallback_url=fallback_url, now=now)
    version = OfferVersion(offer_id=offer.offer_id, version=1, merchant_id=merchant_id, content=content, created_at=now)
    await insert_version(session, version)
    await publish_offer(session, offer, now, new_versions=[version])
    return offer, version
