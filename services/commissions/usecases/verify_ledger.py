"""Prove the ledger from its own rows: name the first bad one, or say how much was proved."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from services.commissions.domain.ledger import (
    ENTRIES_MAX,
    ENTRIES_MIN,
    GENESIS_HASH,
    Account,
    AccountKind,
    Block,
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
    TransactionUnbalanced,
    block_hash,
    entries_hash,
)
from services.commissions.storage.ledger_reader import (
    StoredBlock,
    StoredTransaction,
    find_commission_unlike_its_entries,
    find_transaction_without_block,
    stream_blocks,
    stream_transactions,
)
from services.commissions.storage.step_reader import find_misplaced_close
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class LedgerFault:
    """The first bad row. row: such as `block 12`, `ledger_transaction <id>`. reason: what is wrong with it."""

    row: str
    reason: str

    def __str__(self) -> str:
        return f"{self.row}: {self.reason}"


class LedgerBroken(Exception):
    """The ledger is not what was written. Its fault is the first one, in the chain's order."""

    def __init__(self, fault: LedgerFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True, slots=True)
class LedgerProof:
    """What was proved."""

    blocks: int
    transactions: int
    entries: int


async def verify_ledger(session: Session) -> LedgerProof:
    """Walk the whole chain in order. Raises LedgerBroken at the first bad row.

    Blocks: gapless, chained, never back in time, each hash as computed from what is stored. Transactions: balanced,
    in a block, none missing from it, none added. Closed periods: closed where they say. Commissions: their amounts
    are the sums of their entries.
    """
    blocks = [stored async for stored in stream_blocks(session)]
    _verify_chain(blocks)
    proof = await _verify_contents(session, blocks)
    without = await find_transaction_without_block(session)
    if without is not None:
        raise _broken(f"ledger_transaction {without}", "no block seals it")
    period = await find_misplaced_close(session)
    if period is not None:
        raise _broken(f"period_close {period}", "is not at the last block of its period")
    commission_id = await find_commission_unlike_its_entries(session)
    if commission_id is not None:
        raise _broken(f"commission {commission_id}", "its amounts are not the sums of its ledger entries")
    return proof


def _verify_chain(blocks: list[StoredBlock]) -> None:
    before: Block | None = None
    previous_hash = GENESIS_HASH
    for expected, stored in enumerate(blocks, start=1):
        block = stored.block
        if block.number != expected:
            raise _broken(f"block {expected}", "is missing")
        if block.previous_hash != previous_hash:
            raise _broken(f"block {block.number}", "does not name the hash of the block before it")
        if before is not None and block.booked_at < before.booked_at:
            raise _broken(f"block {block.number}", "was booked before the block before it")
        computed = block_hash(
            number=block.number,
            booked_at=block.booked_at,
            previous_hash=block.previous_hash,
            entries_hash=block.entries_hash,
        )
        if stored.hash != computed:
            raise _broken(f"block {block.number}", "its hash does not follow from its fields")
        before, previous_hash = block, stored.hash


async def _verify_contents(session: Session, blocks: list[StoredBlock]) -> LedgerProof:
    """Every block's transactions, against the hash of them that it carries."""
    remaining = iter(blocks)
    posting: list[StoredTransaction] = []
    transactions = entries = 0
    async for transaction in stream_transactions(session):
        if posting and transaction.block_number != posting[0].block_number:
            _verify_posting(remaining, posting)
            posting = []
        posting.append(transaction)
        transactions, entries = transactions + 1, entries + len(transaction.entries)
    if posting:
        _verify_posting(remaining, posting)
    for stored in remaining:
        raise _broken(f"block {stored.block.number}", "has no transactions")
    return LedgerProof(len(blocks), transactions, entries)


def _verify_posting(remaining: Iterator[StoredBlock], posting: list[StoredTransaction]) -> None:
    stored = next(remaining)
    if stored.block.number != posting[0].block_number:
        raise _broken(f"block {stored.block.number}", "has no transactions")
    rebuilt = [_rebuild(transaction) for transaction in posting]
    if entries_hash(rebuilt) != stored.block.entries_hash:
        raise _broken(
            f"block {stored.block.number}",
            f"its {len(posting)} ledger transactions or their entries are not those that were sealed",
        )


def _rebuild(stored: StoredTransaction) -> LedgerTransaction:
    row = f"ledger_transaction {stored.transaction_id} in block {stored.block_number}"
    sums: Counter[str] = Counter()
    for entry in stored.entries:
        sums[entry.currency] += entry.amount_minor
    if any(sums.values()):
        raise _broken(row, "does not sum to zero")
    if not ENTRIES_MIN <= len(stored.entries) <= ENTRIES_MAX:
        raise _broken(row, f"has {len(stored.entries)} entries")
    try:
        entries = tuple(_rebuild_entry(row, entry.account, n, stored) for n, entry in enumerate(stored.entries))
        return _transaction(stored, entries)
    except (ValueError, TransactionUnbalanced) as fault:
        raise _broken(row, f"cannot be read: {fault}") from None


def _rebuild_entry(row: str, account_name: str, n: int, stored: StoredTransaction) -> LedgerEntry:
    entry = stored.entries[n]
    kind, _, _ = account_name.partition(":")
    account = Account(AccountKind(kind), entry.merchant_id, entry.affiliate_id)
    if str(account) != account_name:
        raise _broken(row, f"its entry {n + 1} is on an account of another party than it says")
    return LedgerEntry(account, entry.currency, entry.amount_minor, entry.payable_at)


def _transaction(stored: StoredTransaction, entries: tuple[LedgerEntry, ...]) -> LedgerTransaction:
    if stored.commission_id is None or stored.conversion_id is None or stored.conversion_version is None:
        raise ValueError("it names no commission")
    if stored.offer_id is None or stored.offer_version is None:
        raise ValueError("it names no offer version")
    return LedgerTransaction(
        transaction_id=stored.transaction_id,
        kind=TransactionKind(stored.kind),
        commission_id=stored.commission_id,
        conversion_id=stored.conversion_id,
        conversion_version=stored.conversion_version,
        offer_id=stored.offer_id,
        offer_version=stored.offer_version,
        occurred_at=stored.occurred_at,
        entries=entries,
        reverses=stored.reverses,
        reason_code=stored.reason_code,
    )


def _broken(row: str, reason: str) -> LedgerBroken:
    return LedgerBroken(LedgerFault(row, reason))
