"""What a bank says became of our payments, and how it is laid against what we asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from shared.kernel.money import Money


class SettlementStatus(StrEnum):
    """settled: the money left the account. returned: it came back."""

    SETTLED = "settled"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementLine:
    """One payment as the bank booked it.

    amount: what was booked, more than zero. instructed: what the bank says we had asked, where it differs or is in
    another currency. bank_reference: the bank's own, "" where it gives none. reason: the bank's code of a return
    (AC04), else "".
    """

    end_to_end_id: str
    amount: Money
    status: SettlementStatus
    booked_on: date
    bank_reference: str
    reason: str = ""
    instructed: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchBooking:
    """A whole block of payments booked as one sum, without its lines.

    payment_information_id: the block's name in our file (message id and a letter). line_count: None where it is not
    told.
    """

    payment_information_id: str
    amount: Money
    line_count: int | None
    booked_on: date
    bank_reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAnswer:
    """One file of the bank. Entries that name no payment of anybody's, or are not booked yet, are only counted.

    message_id: the bank's. accounts: the IBANs it speaks of. unrecognised: booked with a reference, but neither a
    payment going out nor one coming back; nothing is to be posted for them without a person.
    """

    message_id: str
    lines: tuple[SettlementLine, ...]
    batches: tuple[BatchBooking, ...] = ()
    unrecognised: tuple[str, ...] = ()
    entries_pending: int = 0
    entries_without_reference: int = 0
    accounts: tuple[str, ...] = field(default=(), repr=False)


class MismatchKind(StrEnum):
    """Why a line of the answer must not be posted."""

    AMOUNT_DIFFERS = "amount_differs"
    BOOKED_TWICE = "booked_twice"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A line of the answer that is not what we asked. expected: the line's sum."""

    line: SettlementLine
    expected: Money
    kind: MismatchKind


@dataclass(frozen=True, slots=True)
class Matched:
    """An answer laid against our lines: those that agree, those that must be refused, and those that are not ours."""

    lines: tuple[SettlementLine, ...]
    mismatches: tuple[Mismatch, ...]
    foreign: tuple[SettlementLine, ...]


def match_settlement(expected: Mapping[str, Money], answer: BankAnswer) -> Matched:
    """The answer's lines against `expected` (end-to-end id → what we asked), in the answer's order.

    A line agrees when the sum booked in our currency is ours, or, booked in another currency, the sum instructed is.
    The same payment settled, or returned, twice in one answer is a mismatch from the second on.
    """
    lines: list[SettlementLine] = []
    mismatches: list[Mismatch] = []
    foreign: list[SettlementLine] = []
    seen: set[tuple[str, SettlementStatus]] = set()
    for line in answer.lines:
        asked = expected.get(line.end_to_end_id)
        if asked is None:
            foreign.append(line)
            continue
        booked = line.amount if line.amount.currency == asked.currency else line.instructed
        if booked != asked:
            mismatches.append(Mismatch(line, asked, MismatchKind.AMOUNT_DIFFERS))
        elif (line.end_to_end_id, line.status) in seen:
            mismatches.append(Mismatch(line, asked, MismatchKind.BOOKED_TWICE))
        else:
            lines.append(line)
        seen.add((line.end_to_end_id, line.status))
    return Matched(tuple(lines), tuple(mismatches), tuple(foreign))
