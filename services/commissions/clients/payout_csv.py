"""Payouts as a plain table: for a bank that takes no pain.001, and for people."""

from typing import Final

from services.commissions.clients.plain_csv import csv_bytes, plain_text
from services.commissions.domain.bank_details import parse_bic, parse_iban
from services.commissions.domain.payout_batch import PayoutBatch, PayoutInstruction, check_batch, named_lines
from shared.kernel.errors import InvalidValue

LINES_MAX: Final = 100_000
"""Rows of one file: what a spreadsheet still opens."""

COLUMNS: Final = (
    "message_id",
    "execution_date",
    "end_to_end_id",
    "amount",
    "currency",
    "creditor_name",
    "country",
    "iban",
    "account",
    "bic",
    "clearing_system",
    "clearing_member_id",
    "paypal_receiver",
    "remittance_text",
)


def write_payout_csv(batch: PayoutBatch) -> bytes:
    """A header and a row a line, names as the payees spell them. Same batch, same bytes. Raises InvalidValue."""
    check_batch(batch, lines_max=LINES_MAX)
    return csv_bytes([COLUMNS, *(_row(batch, name, line) for name, line in named_lines(batch))])


def _row(batch: PayoutBatch, name: str, line: PayoutInstruction) -> list[str]:
    if sum(target is not None for target in (line.iban, line.account, line.paypal_receiver)) != 1:
        raise InvalidValue(
            f"{name}.iban", "account_required", "give an IBAN, an account or a PayPal receiver, exactly one"
        )
    clearing = line.clearing
    texts = (
        line.creditor_name,
        line.country,
        "" if line.iban is None else parse_iban(line.iban, field=f"{name}.iban"),
        line.account or "",
        "" if line.bic is None else parse_bic(line.bic, field=f"{name}.bic"),
        "" if clearing is None else clearing.system,
        "" if clearing is None else clearing.member_id,
        line.paypal_receiver or "",
        line.remittance_text,
    )
    return [
        batch.message_id,
        batch.execution_date.isoformat(),
        plain_text(line.end_to_end_id),
        line.amount.decimal_text(),
        line.amount.currency,
        *(plain_text(text) for text in texts),
    ]
