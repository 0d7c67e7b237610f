"""A settled bundle of valid clicks as a conversion: nobody reports it, no click ID attributes it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.conversions.domain.attribution import Verdict
from services.conversions.domain.catalogue import OfferVersion
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.step import Step
from services.conversions.domain.transitions import Status

EVENT_CLICK: Final = "click"
"""The event of a bundle, and of the terms that pay for it."""

BY_BILLABLE_CLICKS: Final = "billable_clicks"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Valid clicks of one hour; key: offer, version, affiliate, hour and part. settled_at: when clicks said so."""

    event_id: UUID
    merchant_id: int
    offer_id: int
    offer_version: int
    affiliate_id: int
    hour_at: datetime
    part: int
    quantity: int
    settled_at: datetime

    @property
    def dedupe_key(self) -> str:
        """What makes its conversion one among its merchant's of this event."""
        hour = f"{self.hour_at:%Y-%m-%dT%HZ}"
        return f"b:{self.offer_id}:{self.offer_version}:{self.affiliate_id}:{hour}:{self.part}"


def judge_bundle(*, merchant_id: int, quantity: int, received_at: datetime, version: OfferVersion | None) -> Verdict:
    """The verdict on a bundle: credited, unless its version has not arrived, or says something else."""
    if version is None:
        waiting = Step(BY_BILLABLE_CLICKS, "passed", "the clicks' offer version has not arrived yet")
        return Verdict(Status.WAITING, Outcome.WAITING_FOR_OFFER_VERSION, None, None, (waiting,))
    if version.merchant_id != merchant_id:
        foreign = Step(BY_BILLABLE_CLICKS, "lost", "the clicks belong to an offer of another merchant")
        return Verdict(Status.REJECTED, Outcome.FOREIGN_OFFER_DISCOVERED, None, None, (foreign,))
    if not version.pays_clicks:
        unpaid = Step(BY_BILLABLE_CLICKS, "lost", "the offer version pays for no clicks")
        return Verdict(Status.REJECTED, Outcome.EVENT_NOT_OF_OFFER, None, None, (unpaid,))
    approve_at = received_at + timedelta(days=version.validation_days)
    step = Step(BY_BILLABLE_CLICKS, "won", f"{quantity} valid clicks of one hour")
    return Verdict(Status.PENDING, Outcome.RECORDED, BY_BILLABLE_CLICKS, approve_at, (step,))
