"""What the model knows of the network: offers with their terms, enrolments and clicks, as the history declares them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.demo.amounts import minor_of, percentage


@dataclass(frozen=True, slots=True)
class Earning:
    """What one conversion is worth. Both in minor units of `currency`."""

    commission_minor: int
    margin_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Term:
    """What one event pays: of the net order, or a flat amount."""

    event: str
    rate_percent: str | None
    margin_percent: str | None
    flat_minor: int
    margin_minor: int
    currency: str | None

    def earning(self, net_minor: int | None, currency: str | None, *, is_void: bool) -> Earning:
        """What stands for an order of `net_minor`. is_void: it was taken back altogether."""
        if self.rate_percent is not None and self.margin_percent is not None:
            assert net_minor is not None
            assert currency is not None
            return Earning(
                percentage(net_minor, self.rate_percent), percentage(net_minor, self.margin_percent), currency
            )
        assert self.currency is not None
        return Earning(0 if is_void else self.flat_minor, 0 if is_void else self.margin_minor, self.currency)


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """One offer version. Window: age of the click in seconds, both ends count."""

    offer_id: int
    merchant_id: int
    window_min_seconds: int
    window_max_seconds: int
    approves_at_once: bool
    terms: Mapping[str, Term]


@dataclass(frozen=True, slots=True)
class ClickSeen:
    """A click ID the platform gave out. clicked_from, clicked_to: the Unix times between which it was made."""

    click_id: str
    offer_id: int
    affiliate_id: int
    sub1: str
    is_robot: bool
    is_enrolled: bool
    may_be_inactive: bool
    must_be_inactive: bool
    clicked_from: float
    clicked_to: float


def read_offer(facts: Mapping[str, Any]) -> OfferTerms:
    """The offer a history line declares."""
    return OfferTerms(
        offer_id=facts["offer_id"],
        merchant_id=facts["merchant_id"],
        window_min_seconds=facts["window_min_seconds"],
        window_max_seconds=facts["window_max_seconds"],
        approves_at_once=facts["validation_days"] == 0,
        terms={term["event"]: _read_term(term) for term in facts["terms"]},
    )


def _read_term(term: Mapping[str, Any]) -> Term:
    if term["kind"] == "percentage":
        return Term(term["event"], term["rate_percent"], term["margin_percent"], 0, 0, None)
    flat, margin = term["amount"], term["margin"]
    currency = flat["currency"]
    return Term(
        event=term["event"],
        rate_percent=None,
        margin_percent=None,
        flat_minor=minor_of(flat["amount"], currency),
        margin_minor=minor_of(margin["amount"], currency),
        currency=currency,
    )
