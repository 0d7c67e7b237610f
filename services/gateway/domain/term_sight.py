"""What an affiliate sees of terms: what it can earn itself, and nothing of margins or of other affiliates' rates."""

from collections.abc import Set
from dataclasses import dataclass, replace
from decimal import Decimal

from services.gateway.domain.terms import Override, Rate, Rule, Term
from shared.kernel.money import Money, allocate

_ALL = Decimal(100)


@dataclass(frozen=True, slots=True)
class AffiliateSight:
    """An affiliate, and the groups that it is or was in: clicks of that time are still paid by their overrides."""

    affiliate_id: int
    groups: Set[str]

    def of(self, term: Term) -> Term:
        """`term` without margins and foreign overrides. Where the network keeps a part of the rate: the rest of it."""
        own = self._rate(_rate_of(term), term)
        return replace(
            term,
            rate_percent=own.rate_percent,
            flat_amount=own.flat_amount,
            margin_percent=None,
            margin_amount=None,
            margin_mode="of_order",
            rules=tuple(self._rule(rule, term) for rule in term.rules),
            tiers=None
            if term.tiers is None
            else replace(
                term.tiers,
                tiers=tuple(replace(tier, pays=self._rate(tier.pays, term)) for tier in term.tiers.tiers),
            ),
            overrides=tuple(self._override(override, term) for override in term.overrides if self._is_own(override)),
        )

    def _is_own(self, override: Override) -> bool:
        return override.affiliate_id == self.affiliate_id if override.group is None else override.group in self.groups

    def _override(self, override: Override, term: Term) -> Override:
        rules = tuple(self._rule(rule, term) for rule in override.rules)
        return replace(override, pays=self._rate(override.pays, term), rules=rules)

    def _rule(self, rule: Rule, term: Term) -> Rule:
        return replace(rule, pays=self._rate(rule.pays, term))

    @staticmethod
    def _rate(rate: Rate, term: Term) -> Rate:
        if term.margin_mode != "of_commission":
            return Rate(rate_percent=rate.rate_percent, flat_amount=rate.flat_amount)
        margin = rate.margin_percent if rate.margin_percent is not None else term.margin_percent or Decimal(0)
        rest = None if rate.rate_percent is None else rate.rate_percent * (_ALL - margin) / _ALL
        return Rate(rate_percent=rest, flat_amount=_without(rate.flat_amount, margin))


def _rate_of(term: Term) -> Rate:
    return Rate(rate_percent=term.rate_percent, flat_amount=term.flat_amount, margin_percent=term.margin_percent)


def _without(amount: Money | None, margin_percent: Decimal) -> Money | None:
    """What is left of a fixed amount, split as when it is paid: nothing is lost, and the affiliate comes first."""
    if amount is None:
        return None
    kept = int(margin_percent * 10**6)
    return allocate(amount, [100 * 10**6 - kept, kept])[0]
