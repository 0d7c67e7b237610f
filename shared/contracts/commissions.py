"""commissions.v1: every posting to the ledger, with the inputs that priced it. Kept for ever."""

from datetime import datetime
from typing import Literal

from shared.contracts.catalogue import MoneyV1, TermV1
from shared.contracts.events import Event, EventDecoder


class CommissionPostedV1(Event, frozen=True, kw_only=True, tag="commission_posted", omit_defaults=True):
    """One ledger transaction for one commission. occurred_at: when the conversion's version was recorded.

    transaction_id: UUIDv5 of the conversion event. booked_at and block_number: of the block that sealed it.
    term: the offer version's term that priced it. net_before, net_after: of the order. commission_before,
    commission_after and margin_before, margin_after: what stood and what stands.
    """

    transaction_id: str
    kind: Literal["accrual", "approval", "adjustment", "reversal"]
    commission_id: str
    conversion_id: str
    conversion_version: int
    affiliate_id: int
    merchant_id: int
    offer_id: int
    offer_version: int
    status: Literal["accrued", "approved", "reversed"]
    term: TermV1
    commission_before: MoneyV1
    commission_after: MoneyV1
    margin_before: MoneyV1
    margin_after: MoneyV1
    booked_at: datetime
    block_number: int
    net_before: MoneyV1 | None = None
    net_after: MoneyV1 | None = None
    payable_at: datetime | None = None
    order_id: str | None = None
    click_id: str | None = None
    reason_code: str | None = None
    subs: dict[str, str] = {}
    aff_click_id: str | None = None


COMMISSIONS_DECODER = EventDecoder.of(CommissionPostedV1)
