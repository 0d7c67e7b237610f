"""A cohort: one affiliate's conversions of one event on one offer version, first recorded in one UTC month."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from services.commissions.domain.orders import Order
from services.commissions.domain.pricing import Explanation, explain
from services.commissions.domain.referral import Referral, referral_of
from services.commissions.domain.rules import Given
from services.commissions.domain.terms import Term, Tiers, general
from services.commissions.domain.tiers import levels_of


@dataclass(frozen=True, slots=True)
class CohortItem:
    """One conversion that stands: its order as it is now, and what was decided beside it."""

    order: Order
    given: Given
    commission_minor: int
    margin_minor: int


@dataclass(frozen=True, slots=True)
class CohortTotal:
    """What a cohort comes to, in minor units. achieved: conversions, or revenue in minor units, as the tiers measure.

    target_…: at the levels reached. standing_…: as posted conversion by conversion. referral_minor: the second level's
    share, None where the term has no second level.
    """

    achieved: int
    target_commission_minor: int
    target_margin_minor: int
    standing_commission_minor: int
    standing_margin_minor: int
    referral_minor: int | None


def total_of(term: Term, referral: Referral | None, items: Sequence[CohortItem]) -> CohortTotal:
    """Price every item at the level that the whole cohort reached. items: in order of recording.

    step: all of it at that level. marginal: each where it lies, in that order. Revenue counts in the tiers' currency;
    an order in another one counts nothing. Raises PricingImpossible.
    """
    tiers = general(term).tiers
    sizes = [0 if tiers is None else _size(tiers, item.order) for item in items]
    achieved, before = sum(sizes), 0
    priced: list[Explanation] = []
    for item, size in zip(items, sizes, strict=True):
        given = item.given
        if tiers is not None:
            given = replace(given, levels=levels_of(tiers, achieved=achieved, before=before, size=Fraction(size)))
        priced.append(explain(term, item.order, given))
        before += size
    return CohortTotal(
        achieved=achieved,
        target_commission_minor=sum(each.price.commission.amount_minor for each in priced),
        target_margin_minor=sum(each.price.margin.amount_minor for each in priced),
        standing_commission_minor=sum(item.commission_minor for item in items),
        standing_margin_minor=sum(item.margin_minor for item in items),
        referral_minor=None if referral is None else sum(referral_of(referral, each).amount_minor for each in priced),
    )


def _size(tiers: Tiers, order: Order) -> int:
    if tiers.measure == "conversions":
        return order.quantity
    return order.net.amount_minor if order.net is not None and order.net.currency == tiers.currency else 0
