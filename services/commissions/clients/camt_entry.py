"""One entry of a bank's statement: which payments it settles, returns, or only mentions."""

from dataclasses import dataclass, field
from typing import Any, Final

from services.commissions.clients.camt_tree import (
    REFERENCE_LENGTH_MAX,
    BankFileInvalid,
    children,
    date_at,
    descend,
    found_text,
    is_credit,
    money_at,
    text_at,
)
from services.commissions.domain.settlement import BatchBooking, SettlementLine, SettlementStatus
from shared.kernel.money import Money

_NO_REFERENCE: Final = frozenset({"", "NOTPROVIDED"})
_RETURN_FAMILY: Final = "RRTN"
_REASON_LENGTH_MAX: Final = 35
Element = Any


@dataclass
class EntryReading:
    """What one entry says. amount and is_credit are the entry's own."""

    amount: Money
    is_credit: bool
    is_pending: bool
    lines: list[SettlementLine] = field(default_factory=list)
    batches: list[BatchBooking] = field(default_factory=list)
    unrecognised: list[str] = field(default_factory=list)
    without_reference: int = 0


def read_entry(entry: Element) -> EntryReading:
    """The reading of one `Ntry`. Raises BankFileInvalid, also when its details do not add up to it."""
    amount = money_at(entry, "Amt")
    if amount is None:
        raise BankFileInvalid("bank_file_malformed", f"has an entry without an amount at line {entry.sourceline}")
    status = text_at(entry, "Sts", "Cd") or found_text(entry, "Sts")
    reading = EntryReading(amount, is_credit(entry), is_pending=status != "BOOK")
    details = [one for group in children(entry, "NtryDtls") for one in children(group, "TxDtls")]
    _check_details(entry, reading, details)
    if reading.is_pending:
        return reading
    for detail in details:
        _read_detail(entry, detail, reading, is_only=len(details) == 1)
    if not details:
        _read_batch(entry, reading)
    return reading


def _read_detail(entry: Element, detail: Element, reading: EntryReading, *, is_only: bool) -> None:
    reference = text_at(detail, "Refs", "EndToEndId")
    if reference in _NO_REFERENCE:
        reading.without_reference += 1
        return
    if len(reference) > REFERENCE_LENGTH_MAX:
        raise BankFileInvalid("bank_file_malformed", f"has a reference over 35 characters at line {detail.sourceline}")
    status = _status(entry, detail, reading)
    booked = _booked(detail) or (reading.amount if is_only else None) or money_at(detail, "AmtDtls", "InstdAmt", "Amt")
    if status is None or booked is None or booked.amount_minor == 0:
        reading.unrecognised.append(reference)
        return
    is_return = status is SettlementStatus.RETURNED
    reading.lines.append(
        SettlementLine(
            end_to_end_id=reference,
            amount=booked,
            status=status,
            booked_on=date_at(entry, "BookgDt"),
            bank_reference=_bank_reference(entry, detail),
            reason=_reason(detail)[:_REASON_LENGTH_MAX] if is_return else "",
            instructed=money_at(detail, "AmtDtls", "InstdAmt", "Amt"),
        )
    )


def _status(entry: Element, detail: Element, reading: EntryReading) -> SettlementStatus | None:
    """settled for money that leaves, returned for money that comes back and says so, None for anything else."""
    goes_in = is_credit(detail) if descend(detail, "CdtDbtInd") is not None else reading.is_credit
    is_return = (
        descend(detail, "RtrInf") is not None
        or text_at(entry, "RvslInd") in ("true", "1")
        or _RETURN_FAMILY in (_family(detail), _family(entry))
    )
    if goes_in:
        return SettlementStatus.RETURNED if is_return else None
    return None if is_return else SettlementStatus.SETTLED


def _read_batch(entry: Element, reading: EntryReading) -> None:
    """A sum booked for a whole block of ours, if it names one; else an entry without a reference."""
    batch = descend(entry, "NtryDtls", "Btch")
    block = "" if batch is None else text_at(batch, "PmtInfId")
    if not block or len(block) > REFERENCE_LENGTH_MAX:
        reading.without_reference += 1
    elif reading.is_credit or reading.amount.amount_minor == 0:
        reading.unrecognised.append(block)
    else:
        count = text_at(batch, "NbOfTxs")
        reading.batches.append(
            BatchBooking(
                payment_information_id=block,
                amount=reading.amount,
                line_count=int(count) if count.isascii() and count.isdigit() and len(count) <= 15 else None,
                booked_on=date_at(entry, "BookgDt"),
                bank_reference=text_at(entry, "AcctSvcrRef")[:REFERENCE_LENGTH_MAX],
            )
        )


def _check_details(entry: Element, reading: EntryReading, details: list[Element]) -> None:
    """The details' sum is the entry's, where all tell theirs in its currency and no charges stand between them."""
    amounts = [_booked(detail) for detail in details]
    has_charges = any(descend(one, "Chrgs") is not None for one in (entry, *details))
    if has_charges or not amounts:
        return
    total = 0
    for detail, amount in zip(details, amounts, strict=True):
        if amount is None or amount.currency != reading.amount.currency:
            return
        goes_in = is_credit(detail) if descend(detail, "CdtDbtInd") is not None else reading.is_credit
        total += amount.amount_minor if goes_in == reading.is_credit else -amount.amount_minor
    if total != reading.amount.amount_minor:
        raise BankFileInvalid(
            "bank_file_sums_differ", f"has payments that do not add up to the entry of line {entry.sourceline}"
        )


def _booked(detail: Element) -> Money | None:
    """What was booked for one payment: `Amt` since version .03, `AmtDtls/TxAmt` before."""
    return money_at(detail, "Amt") or money_at(detail, "AmtDtls", "TxAmt", "Amt")


def _bank_reference(entry: Element, detail: Element) -> str:
    reference = text_at(detail, "Refs", "AcctSvcrRef") or text_at(entry, "AcctSvcrRef")
    return reference[:REFERENCE_LENGTH_MAX]


def _reason(detail: Element) -> str:
    return text_at(detail, "RtrInf", "Rsn", "Cd") or text_at(detail, "RtrInf", "Rsn", "Prtry")


def _family(element: Element) -> str:
    return text_at(element, "BkTxCd", "Domn", "Fmly", "SubFmlyCd")
