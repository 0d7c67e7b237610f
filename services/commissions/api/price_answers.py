"""A price and how it came about, as its readers may see it.

An affiliate sees what it gets and why: rates are those of its own part, without the network's, and nothing of the terms
that others have.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from pydantic import BaseModel

from services.commissions.api.rate_answers import RateUsedAnswer, rate_used_answer
from services.commissions.domain.pricing import Explanation, PricedPart
from services.commissions.domain.rules import PassedOver
from services.commissions.domain.terms import Condition
from shared.kernel.money import Money, exponent_of, round_half_up_exact
from shared.runtime.http_app import MoneyAnswer
from shared.runtime.principal import Role

EXTRA_DECIMALS: Final = 6
"""How many decimals beyond the currency's an exact amount is shown with."""

_PRIVATE_FACTS: Final = ("coupon", "source", "sub")
"""What other affiliates' codes and labels would be read from."""


class ExactAnswer(BaseModel):
    """An amount before rounding: decimal text with up to six decimals more than the currency has."""

    amount: str
    currency: str


class PriceConditionAnswer(BaseModel):
    """values: of a list, or the one bound of a size. found: what the order says, for staff."""

    fact: str
    holds: Literal["in", "not_in", "at_least", "below"]
    values: list[str] | None
    currency: str | None
    found: str | None


class PassedOverAnswer(BaseModel):
    """A rule that was asked before and did not hold, and the first of its conditions that failed."""

    rank: int
    name: str
    failed: PriceConditionAnswer


class PricePartAnswer(BaseModel):
    """A part of the order and what decided for it. lines: numbers of its lines, from 1; is_rest: what is in no line.

    tier: number of the level, from 0. override: whose rates were asked. units: how often flat_amount counts.
    rate_percent and flat_amount are those of the part that goes to the affiliate where the reader is one.
    """

    decided_by: Literal["rule", "override", "tier", "own_rate"]
    rank: int | None
    name: str | None
    tier: int | None
    override: Literal["affiliate", "group"] | None
    group: str | None
    lines: list[int]
    is_rest: bool
    base: ExactAnswer | None
    rate_percent: str | None
    flat_amount: ExactAnswer | None
    units: str
    margin_percent: str | None
    margin_amount: MoneyAnswer | None
    amount_before_rounding: ExactAnswer
    margin_before_rounding: ExactAnswer | None
    passed_over: list[PassedOverAnswer]


class ExcludedAnswer(BaseModel):
    """A part of the order that is no base."""

    part: str
    amount: MoneyAnswer


class PriceAnswer(BaseModel):
    """amount: the affiliate's, rounded half up once. margin, charge (both together): not for affiliates.

    base: what percentages are of, after all that was taken back. earns_nothing: `order_taken_back`,
    `recurring_ended`. is_limited_to_order: shares and flat amounts came to more than the order.
    """

    amount: MoneyAnswer
    margin: MoneyAnswer | None
    charge: MoneyAnswer | None
    margin_mode: Literal["of_order", "of_commission", "on_top"] | None
    amount_before_rounding: ExactAnswer
    margin_before_rounding: ExactAnswer | None
    base: ExactAnswer | None
    excluded: list[ExcludedAnswer]
    rate_used: RateUsedAnswer | None
    is_limited_to_order: bool
    earns_nothing: Literal["order_taken_back", "recurring_ended"] | None
    parts: list[PricePartAnswer]


def price_answer(found: Explanation, role: Role) -> PriceAnswer:
    """The explanation as `role` may see it."""
    for_affiliate, currency = role == "affiliate", found.price.commission.currency
    return PriceAnswer(
        amount=MoneyAnswer.of(found.price.commission),
        margin=None if for_affiliate else MoneyAnswer.of(found.price.margin),
        charge=None if for_affiliate else MoneyAnswer.of(found.price.commission + found.price.margin),
        margin_mode=None if for_affiliate else found.margin_mode,
        amount_before_rounding=_exact(found.commission, currency),
        margin_before_rounding=None if for_affiliate else _exact(found.margin, currency),
        base=_base(found, found.base),
        excluded=[ExcludedAnswer(part=name, amount=MoneyAnswer.of(amount)) for name, amount in found.excluded],
        rate_used=None if found.exchange is None else rate_used_answer(found.exchange.used),
        is_limited_to_order=found.is_limited,
        earns_nothing=found.nothing,
        parts=[_part(found, each, role) for each in found.parts],
    )


def _part(found: Explanation, priced: PricedPart, role: Role) -> PricePartAnswer:
    part, winner, for_affiliate = priced.part, priced.part.winner, role == "affiliate"
    currency = found.price.commission.currency
    own = own_share(found.margin_mode, priced.margin_percent) if for_affiliate else Fraction(1)
    rate, flat = part.rate.rate_percent, part.rate.flat_amount
    return PricePartAnswer(
        decided_by=winner.kind,
        rank=winner.rank,
        name=winner.name,
        tier=winner.level,
        override=winner.override,
        group=None if for_affiliate else winner.group,
        lines=list(part.lines),
        is_rest=part.is_rest,
        base=_base(found, part.base),
        rate_percent=None if rate is None else decimal_text(Fraction(rate) * own, EXTRA_DECIMALS),
        flat_amount=None if flat is None else _exact(flat.amount_minor * own, flat.currency),
        units=decimal_text(part.units, EXTRA_DECIMALS),
        margin_percent=None if for_affiliate else decimal_text(Fraction(priced.margin_percent), EXTRA_DECIMALS),
        margin_amount=None if for_affiliate or part.rate.margin_amount is None else _money(part.rate.margin_amount),
        amount_before_rounding=_exact(priced.commission, currency),
        margin_before_rounding=None if for_affiliate else _exact(priced.margin, currency),
        passed_over=[_passed_over(each, role) for each in part.passed_over],
    )


def own_share(margin_mode: str, margin_percent: Decimal) -> Fraction:
    """What of a rate is the affiliate's: all of it, except where the network keeps a share of it."""
    return 1 - Fraction(margin_percent) / 100 if margin_mode == "of_commission" else Fraction(1)


def hides_values(fact: str) -> bool:
    """True for conditions whose values an affiliate does not see."""
    return fact.startswith(_PRIVATE_FACTS)


def _passed_over(passed: PassedOver, role: Role) -> PassedOverAnswer:
    condition = passed.condition
    is_hidden = role == "affiliate" and hides_values(condition.fact)
    return PassedOverAnswer(
        rank=passed.rank,
        name=passed.name,
        failed=PriceConditionAnswer(
            fact=condition.fact,
            holds=condition.holds,
            values=None if is_hidden else _values(condition),
            currency=condition.currency,
            found=passed.found if role in ("admin", "finance") else None,
        ),
    )


def _values(condition: Condition) -> list[str]:
    return sorted(condition.values) if condition.bound is None else [f"{condition.bound:f}"]


def _base(found: Explanation, base: Fraction | None) -> ExactAnswer | None:
    return None if base is None or found.base_currency is None else _exact(base, found.base_currency)


def _money(amount: Money) -> MoneyAnswer:
    return MoneyAnswer.of(amount)


def _exact(minor: Fraction | int, currency: str) -> ExactAnswer:
    exponent = exponent_of(currency)
    text = decimal_text(Fraction(minor) / 10**exponent, exponent + EXTRA_DECIMALS, decimals_min=exponent)
    return ExactAnswer(amount=text, currency=currency)


def decimal_text(value: Fraction, decimals_max: int, *, decimals_min: int = 0) -> str:
    """`value` as a plain decimal, rounded half up after `decimals_max`, without zeros behind `decimals_min`."""
    scaled = round_half_up_exact(value * 10**decimals_max)
    digits = str(abs(scaled)).rjust(decimals_max + 1, "0")
    whole, fraction = digits[: len(digits) - decimals_max], digits[len(digits) - decimals_max :]
    kept = fraction.rstrip("0").ljust(decimals_min, "0")
    return ("-" if scaled < 0 else "") + (f"{whole}.{kept}" if kept else whole)
