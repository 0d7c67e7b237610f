"""How an affiliate wants to be paid: in what, when, and where to; and which of that may be shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from schwifty import registry
from schwifty.exceptions import SchwiftyException

from services.commissions.domain.bank_details import parse_bic, parse_iban
from shared.kernel.errors import InvalidValue

NET_DAYS_MAX: Final = 120
"""The longest terms of payment; beyond that nobody would call it a payout."""

MASK: Final = "••••"
_EMAIL: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}", re.ASCII
)
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9 -]{1,34}", re.ASCII)
_NO_BIC: Final = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE",
        "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
    }
)  # fmt: skip
"""The European Economic Area: a payment in euro there needs an IBAN alone."""


class Method(StrEnum):
    """By what a payout travels: a bank file, PayPal's file, or a plain file for a rail of the network's own."""

    BANK = "bank"
    PAYPAL = "paypal"
    CSV = "csv"


class Frequency(StrEnum):
    """How often. Its pay days: a day of the week; the 1st and the 16th; the 1st of each, each odd, each third month."""

    WEEKLY = "weekly"
    TWICE_A_MONTH = "twice_a_month"
    MONTHLY = "monthly"
    EVERY_TWO_MONTHS = "every_two_months"
    QUARTERLY = "quarterly"


WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS_APART: Final = MappingProxyType({Frequency.MONTHLY: 1, Frequency.EVERY_TWO_MONTHS: 2, Frequency.QUARTERLY: 3})


@dataclass(frozen=True, slots=True, repr=False)
class PayoutDetails:
    """Where to. Secret: sealed at rest, and never spelt out in a log, an answer or an exception."""

    account_holder: str
    iban: str | None = None
    bic: str | None = None
    paypal_email: str | None = None
    account_number: str | None = None

    def masked(self) -> Mapping[str, str | None]:
        """What may be shown: enough for its owner to recognise it, too little for anybody to use it."""
        return {
            "account_holder": self.account_holder[:1] + MASK,
            "iban": None if self.iban is None else f"{self.iban[:4]} {MASK} {self.iban[-4:]}",
            "bic": self.bic,
            "paypal_email": None if self.paypal_email is None else _masked_email(self.paypal_email),
            "account_number": None if self.account_number is None else f"{MASK} {self.account_number[-3:]}",
        }


@dataclass(frozen=True, slots=True)
class PayoutSettings:
    """One version of an affiliate's settings; a change is a new version.

    settings_id: what its details are sealed for. threshold_minor: the least that is paid, in `currency`. weekday: of
    WEEKDAYS, for weekly alone. net_days: from payable to due. country: ISO 3166, of the account. masked: of the
    details. held_until: until when changed details wait, None where nothing waits.
    """

    settings_id: UUID
    affiliate_id: int
    version: int
    currency: str
    threshold_minor: int
    frequency: Frequency
    weekday: str | None
    net_days: int
    method: Method
    country: str
    masked: Mapping[str, str | None]
    details_changed_at: datetime
    held_until: datetime | None
    changed_at: datetime

    def is_held_at(self, now: datetime) -> bool:
        """True while its changed details wait."""
        return self.held_until is not None and now < self.held_until


def required_fields(method: Method, *, country: str | None, currency: str | None) -> tuple[str, ...]:
    """The details that `method` cannot do without, for an account in `country` paid in `currency`.

    A plain file takes an IBAN in place of the account number.
    """
    if method is Method.PAYPAL:
        return ("account_holder", "paypal_email")
    if method is Method.CSV:
        return ("account_holder", "account_number")
    account = "iban" if country is None or _has_ibans(country) else "account_number"
    if account == "iban" and currency in (None, "EUR") and (country is None or country in _NO_BIC):
        return ("account_holder", "iban")
    return ("account_holder", account, "bic")


def check_details(details: PayoutDetails, method: Method, *, country: str, currency: str) -> PayoutDetails:
    """`details` as they are kept: IBAN and BIC checked, without blanks. Raises InvalidValue naming the field."""
    for name in required_fields(method, country=country, currency=currency):
        if not getattr(details, name) and not (method is Method.CSV and name == "account_number" and details.iban):
            raise InvalidValue(f"details.{name}", "detail_missing", "is needed for this method, country and currency")
    if details.iban is not None and details.account_number is not None:
        raise InvalidValue("details.account_number", "two_accounts", "has no place beside an IBAN")
    iban = None if details.iban is None else parse_iban(details.iban, field="details.iban")
    bic = None if details.bic is None else parse_bic(details.bic, field="details.bic")
    if iban is not None and iban[:2] != country:
        raise InvalidValue("details.iban", "iban_of_another_country", "is of another country than `country`")
    if details.paypal_email is not None and not _EMAIL.fullmatch(details.paypal_email):
        raise InvalidValue("details.paypal_email", "email_invalid", "must be an e-mail address")
    if details.account_number is not None and not _ACCOUNT.fullmatch(details.account_number):
        raise InvalidValue("details.account_number", "account_number_invalid", "must be up to 34 letters and digits")
    return replace(details, iban=iban, bic=bic)


def check_weekday(frequency: Frequency, weekday: str | None) -> None:
    """A weekly payout has a day, any other has none. Raises InvalidValue."""
    if (frequency is Frequency.WEEKLY) != (weekday is not None):
        raise InvalidValue("weekday", "weekday_misplaced", "belongs to a weekly payout, and to no other")


def last_pay_day(frequency: Frequency, weekday: str | None, on: date) -> date:
    """The latest pay day not after `on`."""
    if frequency is Frequency.WEEKLY:
        return on - timedelta(days=(on.weekday() - WEEKDAYS.index(weekday or "monday")) % 7)
    if frequency is Frequency.TWICE_A_MONTH:
        return on.replace(day=16 if on.day >= 16 else 1)
    apart = _MONTHS_APART[frequency]
    return date(on.year, on.month - (on.month - 1) % apart, 1)


def is_pay_day_due(frequency: Frequency, weekday: str | None, *, paid_on: date | None, on: date) -> bool:
    """True where a pay day has come since the last payout. Whoever was never paid is due."""
    return paid_on is None or paid_on < last_pay_day(frequency, weekday, on)


def _masked_email(email: str) -> str:
    name, _, domain = email.partition("@")
    return f"{name[:1]}{MASK}@{domain}"


def _has_ibans(country: str) -> bool:
    try:
        registry.get_iban_spec(country)
    except SchwiftyException:
        return False
    return True
