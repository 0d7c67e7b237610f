"""Take a merchant into the network."""

from datetime import datetime

from services.gateway.domain.parties import Merchant
from services.gateway.storage.party_store import insert_merchant
from services.gateway.usecases.publish_catalogue import publish_merchant
from shared.runtime.database import Session


async def create_merchant(session: Session, *, name: str, now: datetime) -> Merchant:
    """A new active merchant, published."""
    merchant = await insert_merchant(session, name=name, now=now)
    await publish_merchant(session, merchant, now)
    return merchant
