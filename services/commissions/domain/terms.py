"""What an offer version's term pays: fixed shares and amounts, or those and rules, tiers and overrides.

Nearly every term is a `PercentageTerm` or a `FlatTerm`, which `price` answers at once. A `RichTerm` is asked in
`rules.py` which rate decides, and priced in `pricing.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from shared.kernel.errors import TributaryError
from shared.kernel.money import Money, percentage_of, zero

MarginMode = Literal["of_order", "of_commission", "on_top"]
Excluded = Literal["tax", "shipping", "discount"]
Holds = Literal["in", "not_in", "at_least", "below"]
LINE_FACTS: Final = frozenset({"category", "sku"})


class PricingImpossible(TributaryError):
    """A conversion that its term cannot price: the event should never have been attributed."""

    code = "pricing_impossible"


@dataclass(frozen=True, slots=True)
class PercentageTerm:
    """Both of the net order value, exact, in the order's currency. Source: the click's offer version."""

    rate_percent: Decimal
    margin_percent: Decimal


@dataclass(frozen=True, slots=True)
class FlatTerm:
    """Fixed amounts a conversion, or a click of a bundle, in one currency. Source: the click's offer version."""

    amount: Money
    margin: Money


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of the base, a fixed amount, or both together. margin_percent, margin_amount None: as the term says."""

    rate_percent: Decimal | None = None
    flat_amount: Money | None = None
    margin_percent: Decimal | None = None
    margin_amount: Money | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold. values: of `in` and `not_in`, without regard to case unless of the click.

    bound: of `at_least` and `below`, in major units of `currency` (None: of whatever the order is paid in).
    """

    fact: str
    holds: Holds
    values: frozenset[str] = frozenset()
    bound: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rate where all conditions hold. is_of_lines: it prices lines of the order, and only those."""

    rank: int
    name: str
    conditions: tuple[Condition, ...]
    pays: Rate
    is_of_lines: bool


@dataclass(frozen=True, slots=True)
class Tier:
    """A rate from this much on: conversions, or revenue in minor units."""

    begins_at: int
    pays: Rate


@dataclass(frozen=True, slots=True)
class Tiers:
    """At least one tier; the first begins at zero, each next one later. currency: of revenue."""

    measure: Literal["conversions", "revenue"]
    mode: Literal["step", "marginal"]
    tiers: tuple[Tier, ...]
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """Other rules and another rate for one affiliate, or for the members of one group."""

    pays: Rate
    rules: tuple[Rule, ...]
    affiliate_id: int | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class RichTerm:
    """A term with conditions. rules: by rank. Its own rate decides where nothing before it does."""

    own_rate: Rate
    margin_mode: MarginMode = "of_order"
    excludes: frozenset[Excluded] = frozenset()
    rules: tuple[Rule, ...] = ()
    tiers: Tiers | None = None
    overrides: tuple[Override, ...] = ()
    recurring_months: int | None = None
    may_exceed_order: bool = False


Term = PercentageTerm | FlatTerm | RichTerm


@dataclass(frozen=True, slots=True)
class Price:
    """To the affiliate, and to the network; the merchant owes both."""

    commission: Money
    margin: Money


def price(term: PercentageTerm | FlatTerm, *, ordered: Money | None, net: Money | None, quantity: int = 1) -> Price:
    """What an order is worth under a simple `term`.

    ordered: as first reported. net: after every adjustment. quantity: clicks of a bundle. Each amount is rounded half
    up once, at the end. A flat amount changes only when all of an order is taken back. Raises PricingImpossible.
    """
    match term:
        case PercentageTerm():
            if net is None:
                raise PricingImpossible("a percentage needs an order amount")
            return Price(percentage_of(net, term.rate_percent), percentage_of(net, term.margin_percent))
        case FlatTerm():
            if is_taken_back(ordered, net):
                return Price(zero(term.amount.currency), zero(term.amount.currency))
            return Price(_times(term.amount, quantity), _times(term.margin, quantity))


def is_taken_back(ordered: Money | None, net: Money | None) -> bool:
    """True when nothing is left of an order that was worth something."""
    return ordered is not None and ordered.amount_minor > 0 and net is not None and net.amount_minor == 0


def general(term: Term) -> RichTerm:
    """The same term in its general form."""
    match term:
        case PercentageTerm():
            return RichTerm(Rate(rate_percent=term.rate_percent, margin_percent=term.margin_percent))
        case FlatTerm():
            return RichTerm(Rate(flat_amount=term.amount, margin_amount=term.margin))
        case RichTerm():
            return term


def ranked(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules as they are asked: by rank, never in the order in which they stand. Raises PricingImpossible."""
    if len({rule.rank for rule in rules}) != len(rules):
        raise PricingImpossible("each rule has a rank of its own")
    return tuple(sorted(rules, key=lambda rule: rule.rank))


def _times(amount: Money, quantity: int) -> Money:
    return amount if quantity == 1 else Money(amount.amount_minor * quantity, amount.currency)
