"""PayPal's large-batch payout file: `PAYOUT_SUMMARY,total,currency,count,subject,message`, then a `PAYOUT` line a
payee.

The file's name carries the batch's message id, and PayPal refuses a name it has seen (DUPS): the same run is never paid
twice by uploading it twice. Format: PayPal's developer pages, "Use large-batch file transfer", as of September 2026.
"""

import re
from typing import Final

from services.commissions.clients.plain_csv import FORMULA_STARTS, csv_bytes, without_formula_start
from services.commissions.domain.payout_batch import PayoutBatch, PayoutInstruction, check_batch, named_lines
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money

LINES_MAX: Final = 100_000
"""Rows of one file. PayPal works through files in parts of 500,000; we stay where a person can still read one."""

CURRENCIES: Final = frozenset({
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS",
    "JPY", "MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
})  # fmt: skip
_WHOLE_ONLY: Final = frozenset({"HUF", "JPY", "TWD"})
"""PayPal takes no decimals of these, whatever ISO 4217 says."""

_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,30}", re.ASCII)
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+", re.ASCII)
_ACCOUNT = re.compile(r"[A-Z0-9]{13}", re.ASCII)
_RECEIVER_LENGTH_MAX: Final = 127
_NOTE_LENGTH_MAX: Final = 1_000
_SUBJECT: Final = "You have been paid"
_MESSAGE: Final = "Your commissions have been paid out."


def file_name(batch: PayoutBatch) -> str:
    """`pp_payouts_<epoch>_<message id>.csv`. The epoch is the run's creation."""
    return f"pp_payouts_{int(batch.created_at.timestamp())}_{batch.message_id}.csv"


def write_paypal_file(batch: PayoutBatch) -> bytes:
    """PayPal's CSV for `batch`. Same batch, same bytes.

    Raises InvalidValue naming the field: a currency PayPal does not pay, a fraction where it takes none, a receiver
    that is no email address or account id, a reference over its 30 characters.
    """
    check_batch(batch, lines_max=LINES_MAX)
    if batch.currency not in CURRENCIES:
        raise InvalidValue("currency", "paypal_currency_unknown", "is not paid out by PayPal")
    summary = ["PAYOUT_SUMMARY", _amount(batch.control_sum, "lines"), batch.currency, str(len(batch.lines))]
    rows = [[*summary, _SUBJECT, _MESSAGE], *(_row(name, line) for name, line in named_lines(batch))]
    return csv_bytes(rows)


def parse_paypal_receiver(text: str, *, field: str = "paypal_receiver") -> str:
    """An email address or a PayPal account id (13 characters), as PayPal takes it.

    Raises InvalidValue naming `field`: paypal_receiver_malformed, also for one that a spreadsheet would run as a
    formula.
    """
    is_known = len(text) <= _RECEIVER_LENGTH_MAX and (_EMAIL.fullmatch(text) or _ACCOUNT.fullmatch(text))
    if not is_known or text.startswith(FORMULA_STARTS):
        raise InvalidValue(field, "paypal_receiver_malformed", "must be an email address or a PayPal account id")
    return text


def _row(name: str, line: PayoutInstruction) -> list[str]:
    if line.paypal_receiver is None or line.iban is not None or line.account is not None:
        raise InvalidValue(f"{name}.paypal_receiver", "account_required", "give a PayPal receiver and no bank account")
    if not _REFERENCE.fullmatch(line.end_to_end_id) or line.end_to_end_id.startswith(FORMULA_STARTS):
        raise InvalidValue(f"{name}.end_to_end_id", "reference_malformed", "PayPal takes 30 letters, digits, _ and -")
    receiver = parse_paypal_receiver(line.paypal_receiver, field=f"{name}.paypal_receiver")
    note = without_formula_start(" ".join(line.remittance_text.split()))[:_NOTE_LENGTH_MAX]
    amount = _amount(line.amount, f"{name}.amount")
    return ["PAYOUT", receiver, amount, line.amount.currency, line.end_to_end_id, note, "", "", "", "SERVICES"]


def _amount(amount: Money, field: str) -> str:
    text = amount.decimal_text()
    if amount.currency not in _WHOLE_ONLY:
        return text
    whole, _, fraction = text.partition(".")
    if fraction.strip("0"):
        raise InvalidValue(field, "amount_too_precise", "PayPal takes whole units only in this currency")
    return whole
