"""Read how far an offer's caps are used: per cap, party and period, beside the limit of its current version."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.commissions.domain.caps import Cap, CapKey
from services.commissions.domain.catalogue import read_offer_version
from services.commissions.storage.cap_store import CapFilter, CapUsage, list_usages
from services.commissions.storage.commission_store import find_projected
from shared.contracts.catalogue import CATALOGUE_DECODER, OfferChangedV1, OfferVersionPublishedV1
from shared.contracts.catalogue import offer_key as key_of_offer
from shared.contracts.catalogue import offer_version_key as key_of_version
from shared.kernel.errors import TributaryError
from shared.runtime.database import Session


class OfferNotFound(TributaryError):
    """There is no such offer, or it is another merchant's."""

    code = "offer_not_found"


@dataclass(frozen=True, slots=True)
class OfferCaps:
    """The caps of an offer's current version; none while it has not arrived."""

    offer_version: int
    caps: Sequence[Cap]


@dataclass(frozen=True, slots=True)
class CapUse:
    """One cap in one period. cap: the current version's of that name and unit; None where it has none any more."""

    key: CapKey
    usage: CapUsage
    cap: Cap | None


async def find_offer_caps(session: Session, offer_id: int, *, merchant_id: int | None) -> OfferCaps:
    """The caps that new clicks of an offer are under. merchant_id: whose it must be, None: anybody's.

    Raises OfferNotFound.
    """
    stored = await find_projected(session, [key_of_offer(offer_id)])
    offer = CATALOGUE_DECODER.decode(stored[key_of_offer(offer_id)]) if stored else None
    if not isinstance(offer, OfferChangedV1) or merchant_id not in (None, offer.merchant_id):
        raise OfferNotFound("no such offer")
    name = key_of_version(offer_id, offer.current_version)
    published = await find_projected(session, [name])
    event = CATALOGUE_DECODER.decode(published[name]) if published else None
    caps = read_offer_version(event).caps if isinstance(event, OfferVersionPublishedV1) else ()
    return OfferCaps(offer.current_version, caps)


async def list_cap_uses(
    session: Session, wanted: CapFilter, offer: OfferCaps, *, now: datetime, limit: int
) -> list[CapUse]:
    """At most `limit`, by key. Where that is all there is, also the offer's own caps that nothing has used yet."""
    by_name = {(cap.name, cap.key(0, 0, now).currency): cap for cap in offer.caps}
    rows = await list_usages(session, wanted, limit=limit)
    uses = [CapUse(key, usage, by_name.get((key.name, key.currency))) for key, usage in rows]
    if wanted.after or wanted.affiliate_id or wanted.name or wanted.period:
        return uses
    unused = [
        CapUse(key, CapUsage(), cap)
        for cap in offer.caps
        if cap.scope == "offer" and (key := cap.key(wanted.offer_id, 0, now)) not in {use.key for use in uses}
    ]
    return uses if len(uses) + len(unused) > limit - 1 else unused + uses
