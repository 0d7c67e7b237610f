"""Suspend or reinstate a merchant or an affiliate."""

from dataclasses import replace
from datetime import datetime

from services.gateway.domain.parties import Affiliate, Merchant, PartyStatus
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.storage.party_store import (
    lock_affiliate,
    lock_merchant,
    store_affiliate_status,
    store_merchant_status,
)
from services.gateway.usecases.publish_catalogue import publish_affiliate, publish_merchant
from shared.kernel.changed import Changed
from shared.runtime.database import Session


async def change_merchant_status(
    session: Session, *, merchant_id: int, wanted: PartyStatus, now: datetime
) -> Changed[Merchant]:
    """The merchant with its new status, published; as it was when it has that status already.

    Suspended: its API keys open nothing, and new clicks on its offers are flagged. What was clicked before still
    converts: its postbacks are taken, and what it owes stays owed (I10). Raises NotInCatalogue.
    """
    merchant = await lock_merchant(session, merchant_id)
    if merchant is None:
        raise NotInCatalogue("merchant")
    if merchant.status == wanted:
        return Changed(merchant, merchant)
    changed = replace(merchant, status=wanted)
    await store_merchant_status(session, changed)
    await publish_merchant(session, changed, now)
    return Changed(merchant, changed)


async def change_affiliate_status(
    session: Session, *, affiliate_id: int, wanted: PartyStatus, now: datetime
) -> Changed[Affiliate]:
    """The affiliate with its new status, published; as it was when it has that status already.

    Suspended: its API keys open nothing, and its new clicks are flagged as unenrolled. What it earned, and what was
    clicked before, stays (I10). Raises NotInCatalogue.
    """
    affiliate = await lock_affiliate(session, affiliate_id)
    if affiliate is None:
        raise NotInCatalogue("affiliate")
    if affiliate.status == wanted:
        return Changed(affiliate, affiliate)
    changed = replace(affiliate, status=wanted)
    await store_affiliate_status(session, changed)
    await publish_affiliate(session, changed, now)
    return Changed(affiliate, changed)
