"""An admin enrols an affiliate without an application."""

from datetime import datetime

from services.gateway.domain.enrolments import Enrolment, EnrolmentStatus, advance_enrolment
from services.gateway.storage.enrolment_store import insert_application, lock_enrolment_of, store_enrolment
from services.gateway.storage.offer_store import find_offer
from services.gateway.storage.party_store import find_affiliate
from services.gateway.usecases.publish_catalogue import publish_enrolment
from shared.kernel.changed import Changed
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session


async def enrol_affiliate(session: Session, *, offer_id: int, affiliate_id: int, now: datetime) -> Changed[Enrolment]:
    """The enrolment, approved from now on and published; as it was when approved already.

    Raises InvalidValue for an unknown offer or affiliate.
    """
    offer = await find_offer(session, offer_id)
    if offer is None:
        raise InvalidValue("offer_id", "offer_unknown", "names no offer")
    if await find_affiliate(session, affiliate_id) is None:
        raise InvalidValue("affiliate_id", "affiliate_unknown", "names no affiliate")
    is_new = await insert_application(
        session, offer_id=offer_id, affiliate_id=affiliate_id, merchant_id=offer.merchant_id, now=now
    )
    enrolment = await lock_enrolment_of(session, offer_id=offer_id, affiliate_id=affiliate_id)
    assert enrolment is not None
    approved = advance_enrolment(enrolment, EnrolmentStatus.APPROVED, now)
    if approved is not enrolment:
        await store_enrolment(session, approved)
        await publish_enrolment(session, approved, now)
    return Changed(None if is_new else enrolment, approved)
