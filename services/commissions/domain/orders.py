"""An order as terms see it: its facts, and its base, which is what percentages are of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final

from services.commissions.domain.terms import Excluded, PricingImpossible
from shared.contracts.catalogue import MoneyV1
from shared.contracts.commissions import RateUsedV1
from shared.contracts.conversions import ConversionChangedV1
from shared.kernel.money import Money, exponent_of

ORDER_FACTS: Final = frozenset({"coupon", "customer_status", "country", "source", "order_amount"}) | {
    f"sub{number}" for number in range(1, 11)
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order. amount: of the whole line, in the order's currency; None where it was not said."""

    sku: str | None = None
    category: str | None = None
    quantity: int = 1
    amount: Money | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions ask about. received_at: the first receipt. customer_first_at: of the customer's first order.

    tax, shipping, discount: parts of the order as first reported, in its currency.
    """

    received_at: datetime | None = None
    coupon: str | None = None
    customer_status: str | None = None
    country: str | None = None
    source: str | None = None
    subs: Mapping[str, str] | None = None
    lines: tuple[Line, ...] = ()
    tax: Money | None = None
    shipping: Money | None = None
    discount: Money | None = None
    customer_first_at: datetime | None = None


NO_FACTS: Final = Facts()


@dataclass(frozen=True, slots=True)
class Order:
    """ordered: as first reported; net: after every adjustment; both None for what has no amount."""

    ordered: Money | None
    net: Money | None
    quantity: int = 1
    facts: Facts = NO_FACTS


@dataclass(frozen=True, slots=True)
class Exchange:
    """A frozen rate. factor: minor units of `quote` for one minor unit of `base`, exact. used: the rate's record."""

    base: str
    quote: str
    factor: Fraction
    used: RateUsedV1


@dataclass(frozen=True, slots=True)
class Base:
    """What percentages are of, in exact minor units of `currency`, as far as it has not been taken back.

    lines: of each line; rest: of the order beside its lines. has_rest: whether the order has anything beside them.
    """

    currency: str
    whole: Fraction
    lines: tuple[Fraction, ...]
    rest: Fraction
    has_rest: bool


def facts_of(event: ConversionChangedV1) -> Facts:
    """The facts that a version of a conversion carries."""
    return Facts(
        received_at=event.first_received_at,
        coupon=event.coupon,
        customer_status=event.customer_status,
        country=event.country,
        source=event.source,
        subs=event.subs,
        lines=tuple(Line(each.sku, each.category, each.quantity, _money(each.amount)) for each in event.items),
        tax=_money(event.tax),
        shipping=_money(event.shipping),
        discount=_money(event.discount),
        customer_first_at=event.customer_first_at,
    )


def order_of(event: ConversionChangedV1) -> Order:
    """The order that a version of a conversion says."""
    return Order(_money(event.order_amount), _money(event.net_amount), event.quantity, facts_of(event))


def exchange_of(used: RateUsedV1 | None) -> Exchange | None:
    """The exact factor behind a stored rate."""
    if used is None:
        return None
    shift = exponent_of(used.quote) - exponent_of(used.base)
    return Exchange(used.base, used.quote, Fraction(used.rate) * Fraction(10) ** shift, used)


def exchanged(money: Money, exchange: Exchange | None) -> tuple[str, Fraction]:
    """Currency and exact minor units of `money`, converted where the rate is for its currency."""
    if exchange is None or money.currency != exchange.base:
        return money.currency, Fraction(money.amount_minor)
    return exchange.quote, money.amount_minor * exchange.factor


def base_of(order: Order, excludes: frozenset[Excluded], exchange: Exchange | None) -> Base | None:
    """The order's base; None for what has no amount. Raises PricingImpossible where a part has another currency.

    Base of the order as first reported: its amount without the excluded parts, never below zero. Lines that come to
    more than that shrink in proportion, so that they never come to more than the base. What is taken back takes the
    same share of every line and of the rest.
    """
    if order.net is None:
        return None
    reported = order.net if not (order.ordered and order.ordered.amount_minor) else order.ordered
    currency, unit = exchanged(Money(1, order.net.currency), exchange)
    at_first = max(reported.amount_minor - sum(_excluded(order, excludes).values()), 0)
    left = unit * order.net.amount_minor / reported.amount_minor if reported.amount_minor else unit
    amounts = [0 if line.amount is None else _of_order(order, line.amount) for line in order.facts.lines]
    shrink = Fraction(at_first, sum(amounts)) if sum(amounts) > at_first else Fraction(1)
    lines = tuple(amount * shrink * left for amount in amounts)
    return Base(
        currency=currency,
        whole=at_first * left,
        lines=lines,
        rest=at_first * left - sum(lines),
        has_rest=not amounts or sum(amounts) < at_first,
    )


def excluded_of(order: Order, excludes: frozenset[Excluded]) -> tuple[tuple[str, Money], ...]:
    """The parts that are no base, as first reported, by name."""
    if order.net is None:
        return ()
    amounts = _excluded(order, excludes)
    return tuple((name, Money(amount, order.net.currency)) for name, amount in sorted(amounts.items()))


def _excluded(order: Order, excludes: frozenset[Excluded]) -> dict[str, int]:
    facts = order.facts
    parts = {"tax": facts.tax, "shipping": facts.shipping, "discount": facts.discount}
    return {name: _of_order(order, part) for name, part in parts.items() if name in excludes and part is not None}


def _of_order(order: Order, money: Money) -> int:
    if order.net is None or money.currency != order.net.currency:
        raise PricingImpossible("the parts of an order are in its currency")
    return money.amount_minor


def _money(money: MoneyV1 | None) -> Money | None:
    return None if money is None else Money(money.amount_minor, money.currency)
