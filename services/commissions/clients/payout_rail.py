"""The payout rail: takes a run's batch, gives the file that a person uploads. Three kinds, chosen by name.

How it is used (payout runs build a batch, this writes it, the caller keeps the file's SHA-256 and moves the money):

    batch = PayoutBatch(run_id=…, created_at=…, execution_date=…, debtor=…, currency="EUR", lines=(…))
    payout_file = RAILS[RailName.BANK].write(batch)
    payout_file.name, payout_file.media_type, payout_file.content, payout_file.sha256

A batch is one currency and one rail; a run with several makes several, and several parts above a rail's `lines_max`.
The same batch gives the same bytes always. A batch that cannot be written whole is refused whole: InvalidValue names
the field (`lines.3.iban`), never the value. Writing a large file takes a second or two: call it in a thread. What comes
back is read by `bank_camt` and `settlement_csv`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final, Protocol

from services.commissions.clients import pain001, payout_csv, paypal_file
from services.commissions.domain.payout_batch import PayoutBatch


class RailName(StrEnum):
    """bank: an ISO 20022 credit transfer file. paypal: PayPal's large batch. csv: for a bank that takes neither."""

    BANK = "bank"
    PAYPAL = "paypal"
    CSV = "csv"


@dataclass(frozen=True)
class PayoutFile:
    """A file as it is uploaded. It names payees and accounts: it is for finance alone, and is never logged."""

    name: str
    media_type: str
    content: bytes = field(repr=False)

    @cached_property
    def sha256(self) -> bytes:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).digest()


class PayoutRail(Protocol):
    """One way to have payees paid."""

    lines_max: int
    """Lines of one file."""

    def write(self, batch: PayoutBatch) -> PayoutFile:
        """The file for `batch`: the same bytes for the same batch. Raises InvalidValue naming the field."""
        ...


class BankFileRail:
    """Credit transfers for the network's bank, checked against the message's schema before they leave."""

    lines_max = pain001.LINES_MAX

    def write(self, batch: PayoutBatch) -> PayoutFile:
        """pain.001.001.09 as UTF-8. Raises InvalidValue."""
        return PayoutFile(f"pain001_{batch.message_id}.xml", "application/xml", pain001.write_pain001(batch))


class PayPalFileRail:
    """PayPal's large-batch file, uploaded to its SFTP server."""

    lines_max = paypal_file.LINES_MAX

    def write(self, batch: PayoutBatch) -> PayoutFile:
        """PayPal's CSV, under the name that PayPal requires. Raises InvalidValue."""
        return PayoutFile(paypal_file.file_name(batch), "text/csv", paypal_file.write_paypal_file(batch))


class PlainCsvRail:
    """A table for people, or for a bank's own import."""

    lines_max = payout_csv.LINES_MAX

    def write(self, batch: PayoutBatch) -> PayoutFile:
        """CSV with a header; no text in it can be a formula. Raises InvalidValue."""
        return PayoutFile(f"payouts_{batch.message_id}.csv", "text/csv", payout_csv.write_payout_csv(batch))


RAILS: Final[Mapping[RailName, PayoutRail]] = {
    RailName.BANK: BankFileRail(),
    RailName.PAYPAL: PayPalFileRail(),
    RailName.CSV: PlainCsvRail(),
}
