"""The second level: what the affiliate that brought an affiliate earns on its conversions, on top of their price."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from services.commissions.domain.pricing import Explanation
from services.commissions.domain.terms import PricingImpossible
from shared.kernel.money import Money, round_half_up_exact


@dataclass(frozen=True, slots=True)
class Referral:
    """A share of the order's base (`sale`), or of the first affiliate's commission as it was posted (`commission`)."""

    rate_percent: Decimal
    of: Literal["sale", "commission"]


def referral_of(referral: Referral, priced: Explanation) -> Money:
    """What the second level earns on a priced order: rounded half up once, in the price's currency.

    Nothing where the order earns nothing. An adjustment posts referral(new) − referral(old), like the commission.
    Raises PricingImpossible for a share of a sale that has no amount, or whose commission is in another currency.
    """
    currency = priced.price.commission.currency
    if priced.nothing is not None:
        return Money(0, currency)
    if referral.of == "commission":
        whole = Fraction(priced.price.commission.amount_minor)
    elif priced.base is None or priced.base_currency != currency:
        raise PricingImpossible("a share of the sale is in the currency of its commission")
    else:
        whole = priced.base
    return Money(round_half_up_exact(whole * Fraction(referral.rate_percent) / 100), currency)
