"""What is handed to a payout rail: one run's instructions in one currency, and the ids that its file bears.

Nothing here reads a clock or draws a number: ids and times are the run's, so that a file exported again is the same
bytes.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from services.commissions.domain.bank_text import check_reference
from shared.kernel.errors import InvalidValue
from shared.kernel.money import AMOUNT_MINOR_MAX, Money, zero

PARTS_MAX: Final = 99
"""Files of one run and currency: the part has two digits in the message id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debtor:
    """The network's own account, which pays.

    bic: None is allowed within SEPA only. town: with it the address is written.
    """

    name: str
    iban: str = field(repr=False)
    bic: str | None
    country: str
    town: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingMember:
    """A bank named by a national clearing code, where there is no BIC.

    system: an ISO external code, such as USABA or GBDSC.
    """

    system: str
    member_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutInstruction:
    """One payee's money. amount: more than zero, in the batch's currency.

    end_to_end_id: the line's name, unchanged by every bank, and how the answer finds the line (see end_to_end_id_of).
    Exactly one of iban, account and paypal_receiver (an email address or a PayPal account id). bic or clearing goes
    with account, and with an IBAN outside SEPA. country: ISO 3166 alpha-2, the payee's. town: with it the address is
    written. Whom it pays never appears in a repr.
    """

    end_to_end_id: str
    amount: Money
    creditor_name: str = field(repr=False)
    country: str
    remittance_text: str = field(repr=False)
    iban: str | None = field(default=None, repr=False)
    account: str | None = field(default=None, repr=False)
    bic: str | None = None
    clearing: ClearingMember | None = None
    town: str | None = field(default=None, repr=False)
    paypal_receiver: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutBatch:
    """Everything a rail writes into one file.

    run_id, created_at (aware), execution_date: the run's own. part: 1 to 99, when one run and currency needs several
    files. lines: one or more, each with its own end_to_end_id; written in this order.
    """

    run_id: UUID
    created_at: datetime
    execution_date: date
    debtor: Debtor
    currency: str
    lines: tuple[PayoutInstruction, ...]
    part: int = 1

    @property
    def message_id(self) -> str:
        """31 characters: the run's id in base 32, the currency, the part. Also PayPal's sender batch id."""
        return f"{_base32(self.run_id)}{self.currency}{self.part:02d}"

    @property
    def control_sum(self) -> Money:
        """The sum of all lines."""
        return sum((line.amount for line in self.lines), zero(self.currency))


def end_to_end_id_of(line_id: UUID) -> str:
    """The line's name between banks: 26 letters and digits, which fit SEPA's 35 and PayPal's 30 characters."""
    return _base32(line_id)


def line_id_of(end_to_end_id: str) -> UUID | None:
    """The line that end_to_end_id_of named; None for anything else."""
    return _uuid(end_to_end_id) if len(end_to_end_id) == 26 else None


def run_id_of(message_id: str) -> UUID | None:
    """The run whose file bore `message_id` (or a payment information id made of it); None for anybody else's."""
    return _uuid(message_id[:26])


def check_batch(batch: PayoutBatch, *, lines_max: int) -> None:
    """What holds on every rail: 1 to `lines_max` lines, one currency, positive amounts, references unique and carried
    by all.

    Raises InvalidValue naming the field (`lines.3.amount`).
    """
    if batch.created_at.utcoffset() is None:
        raise ValueError("created_at must be aware")
    if not 1 <= batch.part <= PARTS_MAX:
        raise InvalidValue("part", "payout_part_invalid", f"must be 1 to {PARTS_MAX}")
    if not batch.lines:
        raise InvalidValue("lines", "payout_batch_empty", "must have a line")
    if len(batch.lines) > lines_max:
        raise InvalidValue("lines", "payout_batch_too_large", f"must be at most {lines_max}: make several parts")
    seen: set[str] = set()
    for name, line in named_lines(batch):
        check_reference(line.end_to_end_id, field=f"{name}.end_to_end_id")
        if line.end_to_end_id in seen:
            raise InvalidValue(f"{name}.end_to_end_id", "end_to_end_id_repeated", "names another line already")
        seen.add(line.end_to_end_id)
        if line.amount.currency != batch.currency:
            raise InvalidValue(f"{name}.amount", "currency_mismatch", "must be in the batch's currency")
        if not 0 < line.amount.amount_minor <= AMOUNT_MINOR_MAX:
            raise InvalidValue(f"{name}.amount", "payout_amount_invalid", "must be more than zero and below the limit")


def named_lines(batch: PayoutBatch) -> Iterator[tuple[str, PayoutInstruction]]:
    """Each line with the name that a refusal gives it: its place, never its payee."""
    return ((f"lines.{place}", line) for place, line in enumerate(batch.lines))


def utc_seconds(instant: datetime) -> str:
    """`2026-11-30T12:00:00Z`, whatever the machine's zone and locale."""
    offset = instant.utcoffset() or timedelta()
    return f"{(instant - offset).replace(tzinfo=None, microsecond=0).isoformat()}Z"


def _base32(identity: UUID) -> str:
    return base64.b32encode(identity.bytes).decode("ascii").rstrip("=")


def _uuid(text: str) -> UUID | None:
    try:
        identity = UUID(bytes=base64.b32decode(f"{text}======"))
    except ValueError:
        return None
    return identity if _base32(identity) == text else None
