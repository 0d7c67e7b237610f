"""The part of an offer version that prices: its terms by event, and how long an approved commission is held."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.commissions.domain.caps import Cap, read_cap
from services.commissions.domain.terms import FlatTerm, PercentageTerm, PricingImpossible, Term
from shared.contracts.catalogue import MoneyV1, OfferVersionPublishedV1, TermV1
from shared.kernel.money import Money, parse_rate_percent, zero


@dataclass(frozen=True, slots=True)
class PricedTerm:
    """A term, and the contract's own record of it, which every posting carries as its input."""

    term: Term
    source: TermV1


@dataclass(frozen=True, slots=True)
class OfferVersion:
    """Immutable. terms: by conversion event."""

    offer_id: int
    version: int
    terms: Mapping[str, PricedTerm]
    hold_days: int
    caps: tuple[Cap, ...] = ()

    def caps_on(self, event: str) -> tuple[Cap, ...]:
        """The caps that count conversions of `event`."""
        return tuple(cap for cap in self.caps if cap.counts(event)) if self.caps else ()


def read_offer_version(event: OfferVersionPublishedV1) -> OfferVersion:
    """The pricing part of a published offer version. Raises PricingImpossible, InvalidValue for senseless terms."""
    return OfferVersion(
        offer_id=event.offer_id,
        version=event.version,
        terms={each.event: PricedTerm(read_term(each), each) for each in event.terms},
        hold_days=event.hold_days,
        caps=tuple(read_cap(each) for each in event.caps),
    )


def read_term(term: TermV1) -> Term:
    """The exact term behind its wire form."""
    if term.kind == "percentage":
        return PercentageTerm(
            parse_rate_percent(term.rate_percent or ""), parse_rate_percent(term.margin_percent or "0")
        )
    if term.flat_amount is None:
        raise PricingImpossible("a flat term has an amount")
    amount = _money(term.flat_amount)
    return FlatTerm(amount, zero(amount.currency) if term.margin_amount is None else _money(term.margin_amount))


def _money(money: MoneyV1) -> Money:
    return Money(money.amount_minor, money.currency)
