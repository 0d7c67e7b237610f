"""The part of an offer version that prices: its terms by event, and how long an approved commission is held."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.commissions.domain.caps import Cap, read_cap
from services.commissions.domain.read_terms import read_term
from services.commissions.domain.terms import Term
from shared.contracts.catalogue import OfferVersionPublishedV1, TermV1
from shared.kernel.money import zero


@dataclass(frozen=True, slots=True)
class PricedTerm:
    """A term, and the contract's own record of it, which every posting carries as its input."""

    term: Term
    source: TermV1


@dataclass(frozen=True, slots=True)
class OfferVersion:
    """Immutable. terms: by conversion event. pays_in: the currency of its commissions, None for the order's own.

    groups: that overrides name, by event; only events with any.
    """

    offer_id: int
    version: int
    terms: Mapping[str, PricedTerm]
    hold_days: int
    pays_in: str | None = None
    caps: tuple[Cap, ...] = ()
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)

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
        pays_in=None if event.pays_in is None else zero(event.pays_in).currency,
        caps=tuple(read_cap(each) for each in event.caps),
        groups={each.event: named for each in event.terms if (named := _groups(each))},
    )


def _groups(term: TermV1) -> frozenset[str]:
    return frozenset(override.group for override in term.overrides if override.group is not None)
