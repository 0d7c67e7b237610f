"""Take an affiliate into the network."""

from datetime import datetime

from services.gateway.domain.parties import Affiliate
from services.gateway.storage.party_store import find_affiliate, insert_affiliate
from services.gateway.usecases.publish_catalogue import publish_affiliate
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session


async def create_affiliate(session: Session, *, name: str, referred_by: int | None = None, now: datetime) -> Affiliate:
    """A new active affiliate, published. referred_by: who brought it, for good: chains of them have no cycles.

    Raises InvalidValue where nobody has that number.
    """
    if referred_by is not None and await find_affiliate(session, referred_by) is None:
        raise InvalidValue("referred_by", "affiliate_unknown", "names no affiliate")
    affiliate = await insert_affiliate(session, name=name, referred_by=referred_by, now=now)
    await publish_affiliate(session, affiliate, now)
    return affiliate
