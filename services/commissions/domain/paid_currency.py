"""Which currency an offer's price comes in before it is paid in another."""

from collections.abc import Iterator

from services.commissions.domain.terms import Rate, RichTerm, Rule, Term, general
from shared.kernel.money import Money


def currency_to_convert(term: Term, net: Money | None, pays_in: str) -> str | None:
    """The one other currency that has to be converted into `pays_in`; None where there is none.

    The order's, where any share of the order may be paid; else that of the fixed amounts. Where both are other
    currencies, pricing refuses: one credit has one rate.
    """
    rates = list(_rates(general(term)))
    if net is not None and net.currency != pays_in and any(_is_share(rate) for rate in rates):
        return net.currency
    return min(fixed_currencies(term) - {pays_in}, default=None)


def fixed_currencies(term: Term) -> set[str]:
    """Currencies of the fixed amounts that a term may pay."""
    amounts = (money for rate in _rates(general(term)) for money in (rate.flat_amount, rate.margin_amount))
    return {money.currency for money in amounts if money is not None}


def _is_share(rate: Rate) -> bool:
    return bool(rate.rate_percent) or bool(rate.margin_percent)


def _rates(term: RichTerm) -> Iterator[Rate]:
    yield term.own_rate
    yield from _pays(term.rules)
    if term.tiers is not None:
        yield from (tier.pays for tier in term.tiers.tiers)
    for override in term.overrides:
        yield override.pays
        yield from _pays(override.rules)


def _pays(rules: tuple[Rule, ...]) -> Iterator[Rate]:
    yield from (rule.pays for rule in rules)
