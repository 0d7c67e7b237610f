"""VAT on a statement: what a party's tax settings make of its net amount. Pure; rounded half up, once."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from services.commissions.domain.statement import Statement
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money, percentage_of

ADDRESS_LINES_MAX: Final = 6
"""What a letterhead has room for."""

LINE_CHARACTERS_MAX: Final = 100
NAME_CHARACTERS_MAX: Final = 200

NOT_SUPPLIED: Final = frozenset(
    {
        "vat",
        "payout",
        "payout_return",
        "merchant_payment",
        "prepaid_application",
        "settlement",
        "revaluation",
        "currency_exchange",
    }
)
"""Kinds that pay, settle or revalue what is owed already. Every other kind is a supply, or takes one back."""

SUPPLIED_IN: Final = frozenset({"payable", "receivable"})
"""The section of a statement in which a supply stands: what an affiliate has earned, what a merchant is charged."""

_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)
_TAX_ID: Final = re.compile(r"[A-Z]{2}[A-Z0-9]{2,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SelfBilling:
    """The agreement by which the network writes the affiliate's invoice."""

    agreed_on: date
    reference: str


@dataclass(frozen=True, slots=True)
class TaxSettings:
    """How a party is taxed from `valid_from` on, and how it is named on invoices.

    country: ISO 3166-1 alpha-2. rate_percent: of VAT, 0 to 100, exact. is_reverse_charge: the recipient accounts for
    the VAT, none is shown. self_billing: affiliates only.
    """

    valid_from: date
    legal_name: str
    address: tuple[str, ...]
    country: str
    tax_id: str | None
    rate_percent: Decimal
    is_reverse_charge: bool
    self_billing: SelfBilling | None = None

    def __post_init__(self) -> None:
        if not _COUNTRY.fullmatch(self.country):
            raise InvalidValue("country", "country_invalid", "must be two capital letters of ISO 3166-1, such as DE")
        if self.tax_id is not None and not _TAX_ID.fullmatch(self.tax_id):
            raise InvalidValue("tax_id", "tax_id_invalid", "must be a VAT id with its country's prefix, without blanks")
        if self.is_reverse_charge and self.tax_id is None:
            raise InvalidValue("tax_id", "tax_id_needed", "reverse charge needs the party's VAT id")
        if self.is_reverse_charge and self.rate_percent:
            raise InvalidValue("rate_percent", "rate_with_reverse_charge", "is 0 where the recipient accounts for VAT")


@dataclass(frozen=True, slots=True)
class TaxLines:
    """The VAT lines of one statement. net_minor: supplies of the period less what was taken back."""

    net_minor: int
    vat_minor: int
    rate_percent: Decimal
    is_reverse_charge: bool

    @property
    def gross_minor(self) -> int:
        """What is invoiced."""
        return self.net_minor + self.vat_minor


def tax_lines_of(statement: Statement, settings: TaxSettings) -> TaxLines:
    """VAT on what the party supplied, or was supplied, in the period: an affiliate's payable, a merchant's charges.

    What is pending is no supply yet: it comes onto the statement of the period that approves it. Negative where more
    was taken back. Rounding: half up to the minor unit, once, at the end.
    """
    section = next(each for each in statement.sections if each.name in SUPPLIED_IN)
    net_minor = sum(minor for kind, minor in section.totals_minor.items() if kind not in NOT_SUPPLIED)
    rate = Decimal(0) if settings.is_reverse_charge else settings.rate_percent
    vat = percentage_of(Money(net_minor, statement.currency), rate)
    return TaxLines(net_minor, vat.amount_minor, rate, settings.is_reverse_charge)
