"""Exchange rates: stored with source and date, combined exactly, and never taken when they are too old.

A rate says what one unit of `base` is worth in units of `quote`. It holds from its day on until a newer one, for so
many days. Of one pair and day the last recorded one holds: a correction is recorded after what it corrects.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Final

from shared.contracts.commissions import RateUsedV1
from shared.kernel.errors import InvalidValue
from shared.kernel.money import is_currency

PIVOT: Final = "EUR"
"""What rates are crossed through: the European Central Bank quotes everything against it."""

RATE_DAYS_MAX: Final = 7
"""How old a rate may be where no setting says otherwise: longer than any run of bank holidays."""

RATE_DIGITS: Final = 24
"""Significant digits of an inverse or a cross rate: the largest amount comes out right far below a minor unit."""

FIRST_DAY: Final = date(1999, 1, 1)
"""The euro's first day; no rate is older."""

_RATE: Final = re.compile(r"(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,12})?", re.ASCII)
_USED: Final = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,60})?", re.ASCII)
_SOURCE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_CONTEXT: Final = Context(prec=RATE_DIGITS, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """One published rate. rate: exact, above zero. source: who published it, as `ecb`. as_of: the day it is for."""

    base: str
    quote: str
    rate: Decimal
    source: str
    as_of: date

    @property
    def used(self) -> RateUsedV1:
        """As it is frozen on a posting."""
        return RateUsedV1(
            base=self.base,
            quote=self.quote,
            rate=rate_text(self.rate),
            source=self.source,
            as_of=self.as_of.isoformat(),
        )


def exchange_rate(*, base: str, quote: str, rate: str, source: str, as_of: date, today: date) -> ExchangeRate:
    """A rate from outside, judged. Raises InvalidValue naming the field.

    rate: a plain decimal above zero, at most twelve digits before and after the point. as_of: not after `today`.
    """
    for field, code in (("base", base), ("quote", quote)):
        if not is_currency(code):
            raise InvalidValue(field, "currency_unknown", "must be an upper-case ISO 4217 code such as EUR")
    if base == quote:
        raise InvalidValue("quote", "currencies_equal", "must be another currency than base")
    if not _SOURCE.fullmatch(source):
        raise InvalidValue("source", "source_invalid", "must be a short lower-case name such as ecb")
    if not FIRST_DAY <= as_of <= today:
        raise InvalidValue("as_of", "rate_day_invalid", "must be a day from 1999-01-01 to today")
    return ExchangeRate(base, quote, parse_rate(rate), source, as_of)


def parse_rate(text: str, *, field: str = "rate") -> Decimal:
    """The exact rate spelt by a plain decimal above zero. Raises InvalidValue naming `field`."""
    if not _RATE.fullmatch(text) or not Decimal(text):
        raise InvalidValue(field, "exchange_rate_invalid", "must be a plain decimal above zero, such as 1.0842")
    return Decimal(text)


def used_rate(text: str) -> Decimal:
    """The rate that was frozen as `text`: any positive plain decimal, as far as it was written.

    Raises InvalidValue.
    """
    if not _USED.fullmatch(text) or not Decimal(text):
        raise InvalidValue("rate", "exchange_rate_invalid", "must be a plain decimal above zero, such as 1.0842")
    return Decimal(text)


def rate_text(rate: Decimal) -> str:
    """The one spelling of a rate: plain, without trailing zeros."""
    return format(rate.normalize(_CONTEXT), "f")


class RateBook:
    """Rates of some days, by pair and day; answers which one holds."""

    def __init__(self, rates: Iterable[ExchangeRate] = ()) -> None:
        """rates: of one pair and day the last recorded one only."""
        self._by_day: dict[date, dict[tuple[str, str], ExchangeRate]] = {}
        for rate in rates:
            self._by_day.setdefault(rate.as_of, {})[rate.base, rate.quote] = rate

    def find(self, base: str, quote: str, on: date, *, days_max: int) -> ExchangeRate | None:
        """The rate that holds on `on`: of the newest day that has one, at most `days_max` days before; else None.

        Of one day: the pair's own rate, its inverse, or the two crossed through the euro, in this order.
        """
        for age in range(days_max + 1):
            day = on - timedelta(days=age)
            found = _rate_of_day(self._by_day.get(day, {}), base, quote)
            if found is not None:
                return found
        return None


def _rate_of_day(rates: Mapping[tuple[str, str], ExchangeRate], base: str, quote: str) -> ExchangeRate | None:
    found = _leg(rates, base, quote)
    if found is not None or PIVOT in (base, quote):
        return found
    into, out_of = _leg(rates, base, PIVOT), _leg(rates, PIVOT, quote)
    if into is None or out_of is None:
        return None
    worth = _exact(rates, base, PIVOT) * _exact(rates, PIVOT, quote)
    source = into.source if into.source == out_of.source else f"{into.source}+{out_of.source}"
    return ExchangeRate(base, quote, _written(worth), source, into.as_of)


def _leg(rates: Mapping[tuple[str, str], ExchangeRate], base: str, quote: str) -> ExchangeRate | None:
    """The rate of one pair, as it stands or turned around."""
    if (base, quote) in rates:
        return rates[base, quote]
    turned = rates.get((quote, base))
    if turned is None:
        return None
    return ExchangeRate(base, quote, _written(1 / Fraction(turned.rate)), turned.source, turned.as_of)


def _exact(rates: Mapping[tuple[str, str], ExchangeRate], base: str, quote: str) -> Fraction:
    if (base, quote) in rates:
        return Fraction(rates[base, quote].rate)
    return 1 / Fraction(rates[quote, base].rate)


def _written(worth: Fraction) -> Decimal:
    """The decimal that is used, and stored as used: exact where RATE_DIGITS suffice, else rounded half up there."""
    return _CONTEXT.divide(Decimal(worth.numerator), Decimal(worth.denominator))
