"""Pause a merchant's offers while its prepaid balance is exhausted, if it chose so, and let them go on afterwards."""

from datetime import datetime

from services.gateway.domain.offers import OfferStatus
from services.gateway.storage.funding_store import (
    FundingState,
    forget_pause,
    is_unfunded,
    list_active_offers,
    list_paused_offers,
    remember_pause,
    save_funding,
)
from services.gateway.usecases.change_offer_status import change_offer_status
from shared.contracts.commissions import PrefundingChangedV1
from shared.runtime.database import Session


async def apply_prefunding(session: Session, event: PrefundingChangedV1, *, now: datetime) -> int:
    """Take what commissions said of one balance; gives how many offers changed.

    An event older than the last one of its balance changes nothing. One exhausted balance of a merchant pauses all of
    its active offers; those, and no others, go on when none is exhausted any more. One that somebody resumed, paused
    for good or ended meanwhile is left as it is.
    """
    state = FundingState(
        merchant_id=event.merchant_id,
        currency=event.currency,
        is_unfunded=event.pauses_offers and event.state == "exhausted",
        version=event.version,
    )
    if not await save_funding(session, state):
        return 0
    if await is_unfunded(session, event.merchant_id):
        return await _pause(session, event.merchant_id, now)
    return await _resume(session, event.merchant_id, now)


async def _pause(session: Session, merchant_id: int, now: datetime) -> int:
    offer_ids = await list_active_offers(session, merchant_id)
    for offer_id in offer_ids:
        await change_offer_status(session, offer_id=offer_id, wanted=OfferStatus.PAUSED, now=now)
        await remember_pause(session, offer_id, now=now)
    return len(offer_ids)


async def _resume(session: Session, merchant_id: int, now: datetime) -> int:
    offer_ids = await list_paused_offers(session, merchant_id)
    for offer_id, status in offer_ids:
        if status == OfferStatus.PAUSED:
            await change_offer_status(session, offer_id=offer_id, wanted=OfferStatus.ACTIVE, now=now)
        await forget_pause(session, offer_id)
    return len(offer_ids)
