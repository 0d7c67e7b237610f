"""What an offer version's term makes of an order: the commission and the network's margin."""

from dataclasses import dataclass
from decimal import Decimal

from shared.kernel.errors import TributaryError
from shared.kernel.money import Money, percentage_of, zero


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
    """Fixed amounts a conversion, in one currency. Source: the click's offer version."""

    amount: Money
    margin: Money


Term = PercentageTerm | FlatTerm


@dataclass(frozen=True, slots=True)
class Price:
    """To the affiliate, and to the network; the merchant owes both."""

    commission: Money
    margin: Money


def price(term: Term, *, ordered: Money | None, net: Money | None) -> Price:
    """What an order is worth under `term`.

    ordered: as first reported. net: after every adjustment. Each amount is rounded half up once, at the end.
    A flat amount changes only when all of an order is taken back. Raises PricingImpossible.
    """
    match term:
        case PercentageTerm():
            if net is None:
                raise PricingImpossible("a percentage needs an order amount")
            return Price(percentage_of(net, term.rate_percent), percentage_of(net, term.margin_percent))
        case FlatTerm():
            taken_back = ordered is not None and ordered.amount_minor > 0 and net is not None and net.amount_minor == 0
            return (
                Price(zero(term.amount.currency), zero(term.amount.currency))
                if taken_back
                else Price(term.amount, term.margin)
            )
