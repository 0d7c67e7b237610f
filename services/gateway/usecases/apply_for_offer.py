"""An affiliate asks to promote an offer."""

from datetime import datetime

from services.gateway.domain.enrolments import Enrolment, EnrolmentStatus, advance_enrolment
from services.gateway.domain.offers import OfferStatus
from services.gateway.domain.refusals import CatalogueConflict, NotInCatalogue
from services.gateway.storage.enrolment_store import insert_application, lock_enrolment_of, store_enrolment
from services.gateway.storage.offer_store import find_offer
from services.gateway.usecases.publish_catalogue import publish_enrolment
from shared.kernel.changed import Changed
from shared.runtime.database import Session


async def apply_for_offer(session: Session, *, offer_id: int, affiliate_id: int, now: datetime) -> Changed[Enrolment]:
    """The affiliate's enrolment, applied for and published; one that is applied for already stays as it is.

    Raises NotInCatalogue, CatalogueConflict for an offer that is not active, or when approved already.
    """
    offer = await find_offer(session, offer_id)
    if offer is None:
        raise NotInCatalogue("offer")
    if offer.status != OfferStatus.ACTIVE:
        raise CatalogueConflict("offer_not_active", "applications are for active offers")
    is_new = await insert_application(
        session, offer_id=offer_id, affiliate_id=affiliate_id, merchant_id=offer.merchant_id, now=now
    )
    enrolment = await lock_enrolment_of(session, offer_id=offer_id, affiliate_id=affiliate_id)
    if enrolment is None:
        raise NotInCatalogue("enrolment")
    if enrolment.status == EnrolmentStatus.APPROVED:
        raise CatalogueConflict("already_enrolled", "the affiliate is approved for this offer")
    applied = advance_enrolment(enrolment, EnrolmentStatus.APPLIED, now)
    if applied is not enrolment:
        await store_enrolment(session, applied)
    if is_new or applied is not enrolment:
        await publish_enrolment(session, applied, now)
    return Changed(None if is_new else enrolment, applied)
