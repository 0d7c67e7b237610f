"""Money: integer minor units with a currency, exact rates, one rounding."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Final

from iso4217 import Currency

from shared.kernel.errors import InvalidValue

AMOUNT_MINOR_MAX: Final = 10**15
"""Largest amount one field may carry, in minor units: far above any order.

Some thousands of them are more than a bigint holds: sums are read from the database as numeric.
"""

_EXPONENTS: Final[dict[str, int]] = {c.code: c.exponent for c in Currency if c.exponent is not None}
_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,8})?", re.ASCII)
_RATE = re.compile(r"(?:0|[1-9][0-9]{0,3})(?:\.[0-9]{1,6})?", re.ASCII)
_CONTEXT: Final = Context(prec=60)


class MoneyInvalid(InvalidValue):
    """An amount or a currency that is not money."""


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in a currency's minor units: cents for EUR, yen for JPY, fils (thousandths) for KWD."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise TypeError("amount_minor is a whole number of minor units")
        if self.currency not in _EXPONENTS:
            raise MoneyInvalid("currency", "currency_unknown", "must be an ISO 4217 code with a minor unit")

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount_minor + self._same(other).amount_minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount_minor - self._same(other).amount_minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount_minor, self.currency)

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise MoneyInvalid("currency", "currency_mismatch", "amounts of two currencies do not add up")
        return other

    def decimal_text(self) -> str:
        """The amount as a plain decimal with exactly the currency's decimals: `12.34`, `-0.50`, `500` for JPY."""
        exponent = _EXPONENTS[self.currency]
        sign, digits = ("-" if self.amount_minor < 0 else ""), str(abs(self.amount_minor)).rjust(exponent + 1, "0")
        return f"{sign}{digits}" if exponent == 0 else f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"

    def __str__(self) -> str:
        return f"{self.decimal_text()} {self.currency}"


def zero(currency: str) -> Money:
    """Nothing, in `currency`."""
    return Money(0, currency)


def is_currency(code: str) -> bool:
    """True for an ISO 4217 code that has a minor unit (upper case)."""
    return code in _EXPONENTS


def parse_money(amount: str, currency: str, *, field: str = "amount") -> Money:
    """The money spelt by a decimal string and its ISO 4217 code.

    Never negative; no sign, exponent, blanks or grouping; at most the currency's decimals; at most AMOUNT_MINOR_MAX.
    Raises MoneyInvalid naming `field`, or `currency`.
    """
    if currency not in _EXPONENTS:
        raise MoneyInvalid("currency", "currency_unknown", "must be an upper-case ISO 4217 code such as EUR")
    if not _AMOUNT.fullmatch(amount):
        raise MoneyInvalid(field, "amount_malformed", "must be a plain decimal of zero or more, such as 12.34")
    exponent = _EXPONENTS[currency]
    whole, _, fraction = amount.partition(".")
    if len(fraction) > exponent:
        raise MoneyInvalid(field, "amount_too_precise", f"{currency} has {exponent} decimals")
    amount_minor = int(whole + fraction.ljust(exponent, "0")) if exponent else int(whole)
    if amount_minor > AMOUNT_MINOR_MAX:
        raise MoneyInvalid(field, "amount_too_large", f"must be at most {AMOUNT_MINOR_MAX} minor units")
    return Money(amount_minor, currency)


def parse_rate_percent(text: str, *, field: str = "rate_percent", percent_max: int = 100) -> Decimal:
    """An exact percentage from 0 to `percent_max` with at most six decimals. Raises InvalidValue naming `field`."""
    if not _RATE.fullmatch(text) or Decimal(text) > percent_max:
        raise InvalidValue(
            field, "rate_invalid", f"must be a percentage from 0 to {percent_max} with at most six decimals"
        )
    return Decimal(text)


def round_half_up(amount: Decimal) -> int:
    """The one rounding of the platform: half away from zero, to a whole minor unit.

    The absolute value is rounded, then the sign is put back, so that a reversal is the exact opposite of its accrual.
    """
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_CONTEXT))


def percentage_of(money: Money, rate_percent: Decimal) -> Money:
    """`rate_percent` of `money`, rounded once at the end (500 minor at 2.9 % = 14.5 → 15)."""
    exact = _CONTEXT.divide(_CONTEXT.multiply(Decimal(money.amount_minor), rate_percent), Decimal(100))
    return Money(round_half_up(exact), money.currency)


def exponent_of(currency: str) -> int:
    """How many decimals `currency` has: 2 for EUR, 0 for JPY, 3 for KWD. Raises KeyError for what is none."""
    return _EXPONENTS[currency]


def round_half_up_exact(amount: Fraction) -> int:
    """`round_half_up` of an amount that no decimal may spell: half away from zero, without any step in between."""
    magnitude = (2 * abs(amount.numerator) + amount.denominator) // (2 * amount.denominator)
    return -magnitude if amount < 0 else magnitude


def exact_conversion(amount_minor: Fraction, *, base: str, quote: str, rate: Decimal) -> Fraction:
    """An exact amount in minor units of `base` in minor units of `quote`, not rounded.

    rate: one unit of `base` in units of `quote` (not of their minor units), exact and above zero.
    """
    shift = exponent_of(quote) - exponent_of(base)
    return amount_minor * Fraction(rate) * Fraction(10) ** shift


def convert(amount_minor: Fraction, *, base: str, quote: str, rate: Decimal) -> Money:
    """`exact_conversion` as money in `quote`, rounded half up once, at the end."""
    exact = exact_conversion(amount_minor, base=base, quote=quote, rate=rate)
    return Money(round_half_up_exact(exact), quote)


def allocate(money: Money, weights: Sequence[int]) -> list[Money]:
    """`money` split in proportion to `weights`, losing nothing: the parts always sum to the whole.

    weights: one or more, none negative, not all zero. The minor units left over go to the largest remainders,
    first come first. Works on the absolute value, so that a reversal splits like its accrual.
    """
    total = sum(weights)
    if not weights or min(weights) < 0 or total == 0:
        raise ValueError("weights must be non-negative and not all zero")
    sign = -1 if money.amount_minor < 0 else 1
    whole = abs(money.amount_minor)
    parts = [whole * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(whole * weights[i] % total), i))
    for index in by_remainder[: whole - sum(parts)]:
        parts[index] += 1
    return [Money(sign * part, money.currency) for part in parts]
