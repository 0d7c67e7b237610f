"""Whose a customer is: of the affiliate of the first credited order, as long as its offer version pays later ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.conversions.domain.catalogue import OfferVersion
from services.conversions.domain.step import Step
from shared.kernel.period import months_after

FOR_LIFE: Final = 0
"""What `recurring_months` says of a customer that is never anybody else's."""

_RULE: Final = "customer_ownership"


@dataclass(frozen=True, slots=True)
class Owner:
    """An affiliate that owns a customer at one offer. version: of the first order's click; it decides over later ones.

    first_at: the first order's receipt.
    """

    affiliate_id: int
    version: OfferVersion
    first_at: datetime

    def owns_until(self, event: str) -> datetime | None:
        """The first instant at which no order of this event counts any more; None where none ever does."""
        months = self.version.recurring_months.get(event)
        if months is None:
            return None
        return (
            datetime.max.replace(tzinfo=self.first_at.tzinfo)
            if months == FOR_LIFE
            else months_after(self.first_at, months)
        )


def find_owner(
    owners: Sequence[Owner], *, event: str, received_at: datetime, has_customer: bool, has_amount: bool
) -> tuple[Owner | None, Step]:
    """Who gets an order that no click credits, with the step for the trail.

    Of several offers' owners the one that came first, by the first order's receipt, then by offer. An order counts from
    the first one's receipt until the same time of the same day so many calendar months later, as it is priced.
    """
    if not has_customer:
        return None, Step(_RULE, "not_applicable", "no customer was reported")
    if not owners:
        return None, Step(_RULE, "passed", "the customer is nobody's")
    faults = []
    for owner in sorted(owners, key=lambda owner: (owner.first_at, owner.version.offer_id)):
        fault = _fault(owner, event, received_at, has_amount=has_amount)
        if fault is None:
            return owner, Step(_RULE, "won", f"the customer's first order came by this affiliate, at {_spell(owner)}")
        faults.append(fault)
    return None, Step(_RULE, "lost", faults[0])


def _fault(owner: Owner, event: str, received_at: datetime, *, has_amount: bool) -> str | None:
    until = owner.owns_until(event)
    if until is None:
        return "the first order's offer version pays no later orders of this event"
    if received_at < owner.first_at:
        return "it came before the customer's first order"
    if received_at >= until:
        return f"it came {owner.version.recurring_months[event]} months or more after the customer's first order"
    if owner.version.needs_amount.get(event, False) and not has_amount:
        return "the terms are a percentage and no amount was reported"
    return None


def _spell(owner: Owner) -> str:
    return f"{owner.first_at:%Y-%m-%dT%H:%M:%SZ}"
