"""Do the bank's sums agree with its entries? Checked where the bank states them; it need not state all."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from services.commissions.clients.camt_tree import BankFileInvalid, children, descend, is_credit, money_at, text_at
from shared.kernel.money import Money

_OPENING: Final = ("OPBD", "PRCD")
_CLOSING: Final = ("CLBD",)
_DIGITS_MAX: Final = 40
Element = Any


@dataclass
class Report:
    """Counts and sums of one statement's or notification's entries. Sums are exact decimals of major units."""

    counts: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    sums: dict[bool, Decimal] = field(default_factory=lambda: {True: Decimal(0), False: Decimal(0)})
    booked: Decimal = Decimal(0)
    currencies: set[str] = field(default_factory=set)

    def add(self, amount: Money, is_credit_entry: bool, *, is_booked: bool) -> None:
        """Count one entry; what is booked moves the balance."""
        value = Decimal(amount.decimal_text())
        self.counts[is_credit_entry] += 1
        self.sums[is_credit_entry] += value
        self.currencies.add(amount.currency)
        if is_booked:
            self.booked += value if is_credit_entry else -value


def check_sums(element: Element, report: Report) -> None:
    """Lay what the statement or notification states of itself against its entries. Raises BankFileInvalid."""
    summary = descend(element, "TxsSummry")
    if summary is not None:
        both = (report.counts[True] + report.counts[False], report.sums[True] + report.sums[False])
        _check(summary, "TtlNtries", *both)
        _check(summary, "TtlCdtNtries", report.counts[True], report.sums[True])
        _check(summary, "TtlDbtNtries", report.counts[False], report.sums[False])
    opening, closing = _balance(element, _OPENING), _balance(element, _CLOSING)
    if opening is None or closing is None:
        return
    if report.currencies - {opening[1]} or opening[1] != closing[1]:
        raise BankFileInvalid("bank_file_sums_differ", f"has balances of another currency at line {element.sourceline}")
    if opening[0] + report.booked != closing[0]:
        raise _differ("the closing balance", element)


def _check(summary: Element, name: str, count: int, total: Decimal) -> None:
    stated = descend(summary, name)
    if stated is None:
        return
    stated_count, stated_sum = text_at(stated, "NbOfNtries"), text_at(stated, "Sum")
    if stated_count and _decimal(stated_count, stated) != count:
        raise _differ(f"{name}/NbOfNtries", stated)
    if stated_sum and _decimal(stated_sum, stated) != total:
        raise _differ(f"{name}/Sum", stated)


def _balance(element: Element, codes: tuple[str, ...]) -> tuple[Decimal, str] | None:
    """The one balance of the first kind that is stated; None where there is none, or several (pages, value days)."""
    for code in codes:
        found = list(_balances(element, code))
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _balances(element: Element, code: str) -> Iterator[tuple[Decimal, str]]:
    for balance in children(element, "Bal"):
        if text_at(balance, "Tp", "CdOrPrtry", "Cd") == code and (amount := money_at(balance, "Amt")) is not None:
            value = Decimal(amount.decimal_text())
            yield (value if is_credit(balance) else -value, amount.currency)


def _decimal(text: str, element: Element) -> Decimal:
    try:
        if len(text) > _DIGITS_MAX or not text.isascii():
            raise InvalidOperation
        return Decimal(text)
    except InvalidOperation:
        raise BankFileInvalid("bank_file_malformed", f"has no number at line {element.sourceline}") from None


def _differ(what: str, element: Element) -> BankFileInvalid:
    return BankFileInvalid("bank_file_sums_differ", f"has entries that do not give {what} of line {element.sourceline}")
