"""The price of one order under any term, with how it came about: exact until the end, rounded half up once.

commission, of_order, on_top   rate_percent of the base + flat_amount
of_commission                  what of that the network does not keep; split by `allocate`, nothing is lost
margin, of_order               margin_percent of the base + margin_amount
margin, on_top                 margin_percent of the exact commission + margin_amount
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor, lcm
from typing import Literal

from services.commissions.domain.orders import (
    Base,
    Exchange,
    Order,
    base_of,
    exchange_of,
    exchanged,
    excluded_of,
)
from services.commissions.domain.rules import FIRST_LEVEL, Given, Part, parts_of
from services.commissions.domain.terms import (
    MarginMode,
    Price,
    PricingImpossible,
    RichTerm,
    Term,
    general,
    is_taken_back,
)
from shared.contracts.commissions import DecisionsV1
from shared.kernel.money import Money, allocate, round_half_up_exact, zero
from shared.kernel.period import months_after

Nothing = Literal["order_taken_back", "recurring_ended"]


@dataclass(frozen=True, slots=True)
class PricedPart:
    """What a part comes to, in exact minor units, before rounding. margin_percent: of its rate, else of the term."""

    part: Part
    commission: Fraction
    margin: Fraction
    margin_percent: Decimal


@dataclass(frozen=True, slots=True)
class Explanation:
    """A price and how it came about. The same order, term and decisions give the same explanation, always.

    excluded: parts of the order that are no base. base: exact minor units of base_currency, None where the order has
    no amount. commission, margin: exact, before rounding; `price` is after it. exchange: what the order was converted
    by. is_limited: shares and fixed amounts came to more than the order, and the price is all of the order instead.
    nothing: why it earns nothing.
    """

    price: Price
    parts: tuple[PricedPart, ...]
    commission: Fraction
    margin: Fraction
    margin_mode: MarginMode
    base: Fraction | None
    base_currency: str | None
    excluded: tuple[tuple[str, Money], ...]
    exchange: Exchange | None
    is_limited: bool
    nothing: Nothing | None


def given_of(affiliate_id: int, decisions: DecisionsV1) -> Given:
    """What was decided beside a conversion, as prices ask for it. Without a decision the first tier holds."""
    levels = FIRST_LEVEL if not decisions.tier else ((decisions.tier, Fraction(1)),)
    return Given(affiliate_id, tuple(decisions.groups), levels, exchange_of(decisions.rate))


def explain(term: Term, order: Order, given: Given) -> Explanation:
    """What `order` is worth under `term`, and why. Raises PricingImpossible."""
    rich = general(term)
    base = base_of(order, rich.excludes, given.exchange)
    parts = parts_of(rich, order, base, given)
    currency = _currency(rich, order, base, parts, given.exchange)
    nothing = _nothing(rich, order)
    factor = 0 if nothing == "recurring_ended" else 1
    has_flats = factor == 1 and not is_taken_back(order.ordered, order.net)
    shares = [_of_shares(rich, part, factor) for part in parts]
    flats = [_of_flats(rich, part, given.exchange) if has_flats else (Fraction(0), Fraction(0)) for part in parts]
    own_margin = _inherited(rich, order, parts, given.exchange) if has_flats else Fraction(0)
    priced = tuple(
        PricedPart(part, share[0] + flat[0], share[1] + flat[1], _margin_percent(rich, part))
        for part, share, flat in zip(parts, shares, flats, strict=True)
    )
    commission = sum((each.commission for each in priced), Fraction(0))
    margin = sum((each.margin for each in priced), own_margin)
    price = _rounded(rich, commission, margin, currency)
    is_mixed = any(map(any, shares)) and (any(map(any, flats)) or bool(own_margin))
    limited = _limited(price, order, given.exchange) if is_mixed and not rich.may_exceed_order else price
    return Explanation(
        price=limited,
        parts=priced,
        commission=commission,
        margin=margin,
        margin_mode=rich.margin_mode,
        base=None if base is None else base.whole,
        base_currency=None if base is None else base.currency,
        excluded=excluded_of(order, rich.excludes),
        exchange=given.exchange,
        is_limited=limited != price,
        nothing=nothing,
    )


def _nothing(term: RichTerm, order: Order) -> Nothing | None:
    first_at, at = order.facts.customer_first_at, order.facts.received_at
    months = term.recurring_months
    if months and first_at is not None and at is not None and at >= months_after(first_at, months):
        return "recurring_ended"
    return "order_taken_back" if is_taken_back(order.ordered, order.net) else None


def _margin_percent(term: RichTerm, part: Part) -> Decimal:
    own = part.rate.margin_percent
    return own if own is not None else term.own_rate.margin_percent or Decimal(0)


def _of_shares(term: RichTerm, part: Part, factor: int) -> tuple[Fraction, Fraction]:
    """Commission and margin of a part's base."""
    base, rate, margin_percent = (
        (part.base or Fraction(0)) * factor,
        part.rate.rate_percent,
        _margin_percent(term, part),
    )
    worth = base * Fraction(rate) / 100 if rate is not None else Fraction(0)
    return _divided(term, worth, margin_percent, of_order=base * Fraction(margin_percent) / 100)


def _of_flats(term: RichTerm, part: Part, exchange: Exchange | None) -> tuple[Fraction, Fraction]:
    """Commission and margin of a part's fixed amounts."""
    amount, extra = (_minor(each, exchange) * part.units for each in (part.rate.flat_amount, part.rate.margin_amount))
    commission, margin = _divided(term, amount, _margin_percent(term, part), of_order=Fraction(0))
    return commission, margin + extra


def _divided(
    term: RichTerm, worth: Fraction, margin_percent: Decimal, *, of_order: Fraction
) -> tuple[Fraction, Fraction]:
    kept = worth * Fraction(margin_percent) / 100
    match term.margin_mode:
        case "of_order":
            return worth, of_order
        case "of_commission":
            return worth - kept, kept
        case "on_top":
            return worth, kept


def _inherited(term: RichTerm, order: Order, parts: tuple[Part, ...], exchange: Exchange | None) -> Fraction:
    """The term's own margin_amount: once a conversion, or click, where any rate that decided has none of its own."""
    has_own = any(part.winner.kind == "own_rate" for part in parts)
    if term.own_rate.margin_amount is None or has_own or all(part.rate.margin_amount is not None for part in parts):
        return Fraction(0)
    return _minor(term.own_rate.margin_amount, exchange) * order.quantity


def _minor(money: Money | None, exchange: Exchange | None) -> Fraction:
    return Fraction(0) if money is None else exchanged(money, exchange)[1]


def _currency(
    term: RichTerm, order: Order, base: Base | None, parts: tuple[Part, ...], exchange: Exchange | None
) -> str:
    """The one currency of all that a price is made of. Raises PricingImpossible."""
    currencies: set[str] = set()
    for part in parts:
        is_of_order = term.margin_mode == "of_order" and _margin_percent(term, part) > 0
        if part.rate.rate_percent is not None or is_of_order:
            if base is None:
                raise PricingImpossible("a percentage needs an order amount")
            currencies.add(base.currency)
        amounts = (part.rate.flat_amount, part.rate.margin_amount)
        currencies |= {exchanged(money, exchange)[0] for money in amounts if money is not None}
        if part.rate.margin_amount is None and term.own_rate.margin_amount is not None:
            currencies.add(exchanged(term.own_rate.margin_amount, exchange)[0])
    if len(currencies) != 1:
        raise PricingImpossible("commission and margin are in one currency")
    return currencies.pop()


def _rounded(term: RichTerm, commission: Fraction, margin: Fraction, currency: str) -> Price:
    if term.margin_mode != "of_commission":
        return Price(Money(round_half_up_exact(commission), currency), Money(round_half_up_exact(margin), currency))
    whole = Money(round_half_up_exact(commission + margin), currency)
    if not commission + margin:
        return Price(zero(currency), zero(currency))
    scale = lcm(commission.denominator, margin.denominator)
    return Price(*allocate(whole, [int(commission * scale), int(margin * scale)]))


def _limited(price: Price, order: Order, exchange: Exchange | None) -> Price:
    """The price, or all that is left of the order where it comes to more."""
    currency, total = price.commission.currency, price.commission.amount_minor + price.margin.amount_minor
    left = floor(exchanged(order.net, exchange)[1]) if order.net is not None else total
    if total <= left:
        return price
    return Price(*allocate(Money(left, currency), [price.commission.amount_minor, price.margin.amount_minor]))
