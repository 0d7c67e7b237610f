"""Take an affiliate into the network."""

from datetime import datetime

from services.gateway.domain.parties import Affiliate
from services.gateway.storage.party_store import insert_affiliate
from services.gateway.usecases.publish_catalogue import publish_affiliate
from shared.runtime.database import Session


async def create_affiliate(session: Session, *, name: str, now: datetime) -> Affiliate:
    """A new active affiliate, published."""
    affiliate = await insert_affiliate(session, name=name, now=now)
    await publish_affiliate(session, affiliate, now)
    return affiliate
