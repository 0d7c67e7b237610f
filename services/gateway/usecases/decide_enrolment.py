"""Approve, reject or end an enrolment."""

from datetime import datetime

from services.gateway.domain.enrolments import Enrolment, EnrolmentStatus, advance_enrolment
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.storage.enrolment_store import lock_enrolment, store_enrolment
from services.gateway.usecases.publish_catalogue import publish_enrolment
from shared.kernel.changed import Changed
from shared.runtime.database import Session


async def decide_enrolment(
    session: Session, *, enrolment_id: int, wanted: EnrolmentStatus, now: datetime
) -> Changed[Enrolment]:
    """The enrolment after the decision, published; as it was when it stands so already.

    Raises NotInCatalogue (also for another merchant's), CatalogueConflict where the table has no such step.
    """
    enrolment = await lock_enrolment(session, enrolment_id)
    if enrolment is None:
        raise NotInCatalogue("enrolment")
    decided = advance_enrolment(enrolment, wanted, now)
    if decided is not enrolment:
        await store_enrolment(session, decided)
        await publish_enrolment(session, decided, now)
    return Changed(enrolment, decided)
