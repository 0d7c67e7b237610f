"""What must be there when everything has settled: conversions, and from them every cent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.demo.terms import ClickSeen, Earning, OfferTerms

Key = tuple[int, str, str]
"""Merchant, event, and order id or else `click:` with the click ID."""

CREDITED = frozenset({"pending", "approved"})


@dataclass(slots=True)
class ExpectedConversion:
    """One conversion. possible: the statuses the history allows; the platform's answer narrows them to one.

    was_credited: it was pending once, so that something was posted, whatever became of it later.
    """

    key: Key
    content: Mapping[str, str]
    possible: frozenset[str]
    order_id: str | None = None
    click: ClickSeen | None = None
    offer: OfferTerms | None = None
    currency: str | None = None
    order_minor: int | None = None
    net_minor: int | None = None
    conversion_id: str | None = None
    was_credited: bool = False
    later_contents: list[Mapping[str, str]] = field(default_factory=list)
    adjustments: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def event(self) -> str:
        """Of the postback: `sale`, `lead`, `install`."""
        return self.key[1]

    @property
    def settled(self) -> frozenset[str]:
        """`possible` after the platform has approved by itself what needs no validation."""
        if self.offer is not None and self.offer.approves_at_once:
            return frozenset("approved" if status == "pending" else status for status in self.possible)
        return self.possible

    @property
    def taken_back_minor(self) -> int:
        """What refunds have taken from the order."""
        return (self.order_minor or 0) - (self.net_minor or 0)

    def earning(self) -> Earning | None:
        """What stands for it now; None where nothing was ever posted."""
        if self.offer is None or not self.was_credited:
            return None
        is_void = not self.possible <= CREDITED
        return self.offer.terms[self.event].earning(0 if is_void else self.net_minor, self.currency, is_void=is_void)


@dataclass(slots=True)
class PartyTotals:
    """One party's money in one currency, in minor units. pending, payable: of affiliates; charged: of merchants."""

    pending: int = 0
    payable: int = 0
    charged: int = 0


def affiliate_totals(conversions: list[ExpectedConversion]) -> dict[tuple[int, str], PartyTotals]:
    """What every affiliate has, by (affiliate, currency)."""
    totals: dict[tuple[int, str], PartyTotals] = {}
    for conversion in conversions:
        earning = conversion.earning()
        if earning is None or conversion.click is None:
            continue
        own = totals.setdefault((conversion.click.affiliate_id, earning.currency), PartyTotals())
        if conversion.settled == {"approved"}:
            own.payable += earning.commission_minor
        else:
            own.pending += earning.commission_minor
    return totals


def merchant_totals(conversions: list[ExpectedConversion]) -> dict[tuple[int, str], PartyTotals]:
    """What every merchant owes, by (merchant, currency): commission and the network's margin."""
    totals: dict[tuple[int, str], PartyTotals] = {}
    for conversion in conversions:
        earning = conversion.earning()
        if earning is not None:
            own = totals.setdefault((conversion.key[0], earning.currency), PartyTotals())
            own.charged += earning.commission_minor + earning.margin_minor
    return totals
