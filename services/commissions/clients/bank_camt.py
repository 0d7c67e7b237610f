"""The bank's answer in ISO 20022: camt.053 (statement) and camt.054 (notification), any version from .02 on.

Elements are found by their local names, so that version and dialect do not matter. What is read of each booked entry:

- a debit with an EndToEndId: `settled`; a credit with one that says it is a return (RtrInf, a reversal, or bank
  transaction family RRTN): `returned`, with the return's code. Another movement that bears a reference is
  `unrecognised`;
- a debit without details that names a payment information id: one `BatchBooking`;
- pending and informational entries, and entries that bear no reference, are only counted.

Sums are checked before anything is believed: an entry against its details, counts and sums of the summary against the
entries, and in a statement opening + credits − debits against closing. A file with a wrong sum is refused whole.

The file comes from outside. Entities, document types and networks are off, depth and text have libxml2's limits, and
size, entries and payments ours. A refusal says where, never what stands there.
"""

import io
from dataclasses import dataclass, field
from typing import Any, Final

from lxml import etree

from services.commissions.clients.camt_entry import EntryReading, read_entry
from services.commissions.clients.camt_sums import Report, check_sums
from services.commissions.clients.camt_tree import BankFileInvalid, children, found_text, local_name, text_at
from services.commissions.domain.settlement import BankAnswer, BatchBooking, SettlementLine

BYTES_MAX: Final = 64 * 1024 * 1024
"""A month of 40,000 payments is about 50 MB in the most talkative dialect."""

ENTRIES_MAX: Final = 200_000
"""Entries and payments of one file."""

_ROOTS: Final = {"BkToCstmrStmt": "Stmt", "BkToCstmrDbtCdtNtfctn": "Ntfctn"}
Element = Any


@dataclass
class _Reading:
    """What has been read so far."""

    message_id: str = ""
    lines: list[SettlementLine] = field(default_factory=list)
    batches: list[BatchBooking] = field(default_factory=list)
    unrecognised: list[str] = field(default_factory=list)
    pending: int = 0
    without_reference: int = 0
    accounts: list[str] = field(default_factory=list)
    reports: int = 0

    def take(self, entry: EntryReading) -> None:
        """Add one entry. Raises BankFileInvalid above the limit."""
        self.lines.extend(entry.lines)
        self.batches.extend(entry.batches)
        self.unrecognised.extend(entry.unrecognised)
        self.pending += entry.is_pending
        self.without_reference += entry.without_reference
        if len(self.lines) + len(self.unrecognised) > ENTRIES_MAX:
            raise BankFileInvalid("bank_file_too_large", f"has more than {ENTRIES_MAX} payments")


def read_camt(content: bytes) -> BankAnswer:
    """The answer that a camt.053 or camt.054 file gives, in its order.

    Raises BankFileInvalid with a code: bank_file_too_large, bank_file_malformed, bank_file_unknown,
    bank_file_sums_differ.
    """
    if len(content) > BYTES_MAX:
        raise BankFileInvalid("bank_file_too_large", f"has more than {BYTES_MAX} bytes")
    try:
        reading = _read(content)
    except etree.XMLSyntaxError as broken:
        raise BankFileInvalid("bank_file_malformed", f"is no well-formed XML at line {broken.lineno}") from None
    if reading.reports == 0:
        raise BankFileInvalid("bank_file_unknown", "is no camt.053 or camt.054")
    return BankAnswer(
        message_id=reading.message_id,
        lines=tuple(reading.lines),
        batches=tuple(reading.batches),
        unrecognised=tuple(reading.unrecognised),
        entries_pending=reading.pending,
        entries_without_reference=reading.without_reference,
        accounts=tuple(reading.accounts),
    )


def _read(content: bytes) -> _Reading:
    parsing = etree.iterparse(
        io.BytesIO(content),
        events=("start", "end"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    reading, report, path = _Reading(), Report(), list[str]()
    for event, element in parsing:
        if event == "start":
            path.append(local_name(element))
            _check_door(path, element)
            continue
        if len(path) == 4 and path[3] == "Ntry":
            entry = read_entry(element)
            report.add(entry.amount, entry.is_credit, is_booked=not entry.is_pending)
            reading.take(entry)
            element.clear()
        elif len(path) == 3 and path[2] == "GrpHdr":
            reading.message_id = found_text(element, "MsgId")
        elif len(path) == 3:
            check_sums(element, report)
            reading.accounts.extend(_account(element))
            reading.reports, report = reading.reports + 1, Report()
        path.pop()
    return reading


def _check_door(path: list[str], element: Element) -> None:
    """Refuse a document type at the first element, and what is no statement or notification at the second and third."""
    if len(path) == 1 and element.getroottree().docinfo.internalDTD is not None:
        raise BankFileInvalid("bank_file_malformed", "declares a document type")
    if len(path) == 2 and (path[0] != "Document" or path[1] not in _ROOTS):
        raise BankFileInvalid("bank_file_unknown", "is no camt.053 or camt.054")
    if len(path) == 3 and path[2] not in ("GrpHdr", _ROOTS[path[1]], "SplmtryData"):
        raise BankFileInvalid("bank_file_unknown", "is no camt.053 or camt.054")


def _account(report: Element) -> list[str]:
    return [text for account in children(report, "Acct") if (text := text_at(account, "Id", "IBAN"))]
