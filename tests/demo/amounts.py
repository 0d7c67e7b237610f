"""The model's own arithmetic: whole minor units and exact fractions, written without a look at the platform's."""

import math
from fractions import Fraction
from typing import Final

DECIMALS: Final = {"EUR": 2, "JPY": 0, "KWD": 3}


def minor_of(text: str, currency: str) -> int:
    """`12.34` EUR → 1234; `500` JPY → 500; `1.005` KWD → 1005; a sign is kept."""
    exact = Fraction(text) * 10 ** DECIMALS[currency]
    if exact.denominator != 1:
        raise ValueError(f"{text} has more decimals than {currency}")
    return int(exact)


def text_of(amount_minor: int, currency: str) -> str:
    """1234 EUR → `12.34`; -50 EUR → `-0.50`; 500 JPY → `500`."""
    decimals = DECIMALS[currency]
    sign, digits = ("-" if amount_minor < 0 else ""), str(abs(amount_minor)).zfill(decimals + 1)
    return sign + (digits if decimals == 0 else f"{digits[:-decimals]}.{digits[-decimals:]}")


def percentage(amount_minor: int, rate_percent: str) -> int:
    """`rate_percent` of an amount of zero or more, half up to the minor unit, once."""
    return math.floor(amount_minor * Fraction(rate_percent) / 100 + Fraction(1, 2))
