"""The answer as CSV: our own table for any other rail, and PayPal's reports.

Ours: a header, then `end_to_end_id,amount,currency,status,booked_on,bank_reference,reason`; status is settled or
returned, booked_on a day, the last two may be empty. PayPal's (Part, Out and Final reports): 13 or 14 columns without a
header or with PayPal's; SUCCESS settles, FAILED, RETURNED, REFUNDED, REVERSED, BLOCKED and DENIED return, all else is
still pending.
"""

import csv
import io
from collections.abc import Callable
from datetime import date
from typing import Final

from services.commissions.clients.camt_tree import BankFileInvalid
from services.commissions.domain.bank_text import check_reference
from services.commissions.domain.settlement import BankAnswer, SettlementLine, SettlementStatus
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money, parse_money

BYTES_MAX: Final = 32 * 1024 * 1024
ROWS_MAX: Final = 200_000
"""As many payments as a bank's XML may have."""

COLUMNS: Final = ("end_to_end_id", "amount", "currency", "status", "booked_on", "bank_reference", "reason")
_TEXT_LENGTH_MAX: Final = 64
_PAYPAL_COLUMNS: Final = (13, 14)
_PAYPAL_RETURNED: Final = frozenset({"FAILED", "RETURNED", "REFUNDED", "REVERSED", "BLOCKED", "DENIED"})
Reader = Callable[[list[str]], SettlementLine | None]


def read_settlement_csv(content: bytes, *, message_id: str) -> BankAnswer:
    """The answer in our own table. message_id: the caller's name of the file. Raises BankFileInvalid naming the row."""
    rows = _rows(content)
    if not rows or tuple(cell.strip().lower() for cell in rows[0][1]) != COLUMNS:
        raise BankFileInvalid("bank_file_unknown", f"must begin with the columns {', '.join(COLUMNS)}")
    return _answer(rows[1:], _read_own, message_id)


def read_paypal_report(content: bytes, *, message_id: str) -> BankAnswer:
    """The answer in a PayPal report.

    Message_id: the caller's name of the file. Raises BankFileInvalid naming the row.
    """
    rows = _rows(content)
    if rows and rows[0][1][0].strip().lower().replace("_", " ") == "reference id":
        rows = rows[1:]
    if not rows:
        raise BankFileInvalid("bank_file_unknown", "has no row")
    return _answer(rows, _read_paypal, message_id)


def _answer(rows: list[tuple[int, list[str]]], reader: Reader, message_id: str) -> BankAnswer:
    lines: list[SettlementLine] = []
    pending = 0
    for number, row in rows:
        try:
            line = reader(row)
        except InvalidValue as refusal:
            raise BankFileInvalid("bank_file_malformed", f"row {number}, {refusal}") from None
        if line is None:
            pending += 1
        else:
            lines.append(line)
    return BankAnswer(message_id=message_id, lines=tuple(lines), entries_pending=pending)


def _rows(content: bytes) -> list[tuple[int, list[str]]]:
    """Rows that are not blank, each with its line number in the file."""
    if len(content) > BYTES_MAX:
        raise BankFileInvalid("bank_file_too_large", f"has more than {BYTES_MAX} bytes")
    try:
        text = content.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except UnicodeDecodeError:
        raise BankFileInvalid("bank_file_malformed", "is not UTF-8") from None
    except csv.Error:
        raise BankFileInvalid("bank_file_malformed", "is no CSV") from None
    if len(rows) > ROWS_MAX:
        raise BankFileInvalid("bank_file_too_large", f"has more than {ROWS_MAX} rows")
    return rows


def _read_own(row: list[str]) -> SettlementLine:
    if len(row) != len(COLUMNS):
        raise InvalidValue("row", "row_malformed", f"must have {len(COLUMNS)} cells")
    reference, amount, currency, status, booked_on, bank_reference, reason = (cell.strip() for cell in row)
    if status not in tuple(SettlementStatus):
        raise InvalidValue("status", "status_unknown", "must be settled or returned")
    return SettlementLine(
        end_to_end_id=check_reference(reference, field="end_to_end_id"),
        amount=_money(amount, currency),
        status=SettlementStatus(status),
        booked_on=_day(booked_on, "booked_on"),
        bank_reference=_text(bank_reference, "bank_reference"),
        reason=_text(reason, "reason"),
    )


def _read_paypal(row: list[str]) -> SettlementLine | None:
    if len(row) not in _PAYPAL_COLUMNS:
        raise InvalidValue("row", "row_malformed", "must have 13 or 14 cells")
    cells = [cell.strip() for cell in row]
    is_returned = cells[9] in _PAYPAL_RETURNED
    if cells[9] != "SUCCESS" and not is_returned:
        return None
    return SettlementLine(
        end_to_end_id=check_reference(cells[0], field="reference_id"),
        amount=_money(cells[6], cells[5]),
        status=SettlementStatus.RETURNED if is_returned else SettlementStatus.SETTLED,
        booked_on=_day(cells[12], "processed_time"),
        bank_reference=_text(cells[2] or cells[1], "transaction_id"),
        reason=_text(cells[10], "error") if is_returned else "",
    )


def _money(amount: str, currency: str) -> Money:
    whole, _, fraction = amount.partition(".")
    kept = fraction.rstrip("0")
    money = parse_money(f"{whole}.{kept}" if kept else whole, currency)
    if money.amount_minor == 0:
        raise InvalidValue("amount", "amount_zero", "must be more than zero")
    return money


def _day(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise InvalidValue(field, "day_malformed", "must begin with a day such as 2026-11-30") from None


def _text(text: str, field: str) -> str:
    if len(text) > _TEXT_LENGTH_MAX or not text.isprintable():
        raise InvalidValue(field, "text_malformed", f"must be at most {_TEXT_LENGTH_MAX} printable characters")
    return text
