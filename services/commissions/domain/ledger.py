"""The double-entry ledger: accounts, entries, transactions that sum to zero, and the chain of blocks.

Debit is positive, credit negative. Nothing here is ever changed; a correction is a new, opposite transaction.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.kernel.errors import TributaryError

ENTRIES_MIN: Final = 2
ENTRIES_MAX: Final = 16
GENESIS_HASH: Final = bytes(32)
"""What the first block names as the hash before it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class TransactionUnbalanced(TributaryError):
    """Entries that do not sum to zero in each currency, or are too few, too many, or empty."""

    code = "transaction_unbalanced"


class AccountKind(StrEnum):
    """What an account holds. The merchant's, the affiliate's and the network's, per currency."""

    MERCHANT_RECEIVABLE = "merchant_receivable"
    AFFILIATE_PENDING = "affiliate_pending"
    AFFILIATE_PAYABLE = "affiliate_payable"
    NETWORK_MARGIN = "network_margin"
    MERCHANT_PREPAID = "merchant_prepaid"
    PAYOUT_CLEARING = "payout_clearing"
    BANK = "bank"
    VAT = "vat"
    FX_EXCHANGE = "fx_exchange"


class TransactionKind(StrEnum):
    """Why value moved."""

    ACCRUAL = "accrual"
    APPROVAL = "approval"
    ADJUSTMENT = "adjustment"
    REVERSAL = "reversal"
    BONUS = "bonus"
    CURRENCY_EXCHANGE = "currency_exchange"
    REVALUATION = "revaluation"
    MERCHANT_PAYMENT = "merchant_payment"
    PREPAID_APPLICATION = "prepaid_application"
    PAYOUT = "payout"
    PAYOUT_RETURN = "payout_return"
    SETTLEMENT = "settlement"
    TRUE_UP = "true_up"
    REFERRAL = "referral"


CONVERSION_KINDS: Final = ("accrual", "approval", "adjustment", "reversal")
"""Kinds that a conversion's version posts; every other one is of a finance act."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account. At most one of the two ids is set; neither: the network's own."""

    kind: AccountKind
    merchant_id: int | None = None
    affiliate_id: int | None = None

    def __str__(self) -> str:
        party_id = self.merchant_id if self.merchant_id is not None else self.affiliate_id
        return self.kind.value if party_id is None else f"{self.kind}:{party_id}"


def merchant_receivable(merchant_id: int) -> Account:
    """What the merchant owes the network."""
    return Account(AccountKind.MERCHANT_RECEIVABLE, merchant_id=merchant_id)


def affiliate_pending(affiliate_id: int) -> Account:
    """What the affiliate has earned and nobody has approved yet."""
    return Account(AccountKind.AFFILIATE_PENDING, affiliate_id=affiliate_id)


def affiliate_payable(affiliate_id: int) -> Account:
    """What is approved and will be paid."""
    return Account(AccountKind.AFFILIATE_PAYABLE, affiliate_id=affiliate_id)


def merchant_prepaid(merchant_id: int) -> Account:
    """What the merchant has paid before it owed it."""
    return Account(AccountKind.MERCHANT_PREPAID, merchant_id=merchant_id)


NETWORK_MARGIN: Final = Account(AccountKind.NETWORK_MARGIN)
PAYOUT_CLEARING: Final = Account(AccountKind.PAYOUT_CLEARING)
"""What was handed to the bank and is not settled yet."""

BANK: Final = Account(AccountKind.BANK)
FX_EXCHANGE: Final = Account(AccountKind.FX_EXCHANGE)
"""Where an amount leaves one currency and comes out in another."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One side of a movement. amount_minor: never zero. payable_at: on affiliate_payable, when it may be paid."""

    account: Account
    currency: str
    amount_minor: int
    payable_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LedgerTransaction:
    """Entries that move value together; built only if they sum to zero per currency.

    entries: 2 to 16, in posting order. reverses: the transaction that this one corrects. occurred_at: of the
    conversion's version, or of the finance act; the block's booked_at decides the period. commission_id to
    offer_version: all set where a conversion's version posted it.
    """

    transaction_id: UUID
    kind: TransactionKind
    occurred_at: datetime
    entries: tuple[LedgerEntry, ...]
    commission_id: UUID | None = None
    conversion_id: UUID | None = None
    conversion_version: int | None = None
    offer_id: int | None = None
    offer_version: int | None = None
    reverses: UUID | None = None
    reason_code: str | None = None

    def __post_init__(self) -> None:
        if not ENTRIES_MIN <= len(self.entries) <= ENTRIES_MAX:
            raise TransactionUnbalanced(f"a transaction has {ENTRIES_MIN} to {ENTRIES_MAX} entries")
        sums: dict[str, int] = {}
        for entry in self.entries:
            if entry.amount_minor == 0:
                raise TransactionUnbalanced("an entry moves something")
            sums[entry.currency] = sums.get(entry.currency, 0) + entry.amount_minor
        if any(sums.values()):
            raise TransactionUnbalanced("a transaction sums to zero in each currency")
        if self.kind.value in CONVERSION_KINDS and None in (
            self.commission_id, self.conversion_id, self.conversion_version, self.offer_id, self.offer_version
        ):  # fmt: skip
            raise TransactionUnbalanced("a conversion's transaction names its commission and its offer version")


@dataclass(frozen=True, slots=True)
class Block:
    """The seal of one posting: its place in the chain and the hash of what it holds."""

    number: int
    posting_id: UUID
    booked_at: datetime
    previous_hash: bytes
    entries_hash: bytes

    @property
    def hash(self) -> bytes:
        """SHA-256 over the previous hash, the number, booked_at and the entries' hash."""
        return block_hash(
            number=self.number,
            booked_at=self.booked_at,
            previous_hash=self.previous_hash,
            entries_hash=self.entries_hash,
        )


def block_hash(*, number: int, booked_at: datetime, previous_hash: bytes, entries_hash: bytes) -> bytes:
    """The hash of a block. booked_at: to the microsecond."""
    booked_us = (booked_at - _EPOCH) // timedelta(microseconds=1)
    return hashlib.sha256(previous_hash + struct.pack(">Qq", number, booked_us) + entries_hash).digest()


def entries_hash(transactions: Iterable[LedgerTransaction]) -> bytes:
    """SHA-256 over every transaction and entry of a posting, ordered by transaction id, entries in posting order."""
    digest = hashlib.sha256()
    for transaction in sorted(transactions, key=lambda each: each.transaction_id.bytes):
        digest.update(_canonical(transaction))
    return digest.digest()


def _canonical(transaction: LedgerTransaction) -> bytes:
    head: Sequence[object] = (
        transaction.transaction_id,
        transaction.kind.value,
        transaction.commission_id or "",
        transaction.conversion_id or "",
        transaction.conversion_version or "",
        transaction.offer_id or "",
        transaction.offer_version or "",
        _instant(transaction.occurred_at),
        transaction.reverses or "",
        transaction.reason_code or "",
        len(transaction.entries),
    )
    lines = ["|".join(map(str, head))]
    for entry in transaction.entries:
        lines.append(f"{entry.account}|{entry.currency}|{entry.amount_minor}|{_instant(entry.payable_at)}")
    return "\n".join([*lines, ""]).encode()


def _instant(instant: datetime | None) -> str:
    return "" if instant is None else str((instant - _EPOCH) // timedelta(microseconds=1))
