"""Prove the ledger from its own rows: name the first bad one, or say how much was proved."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from services.commissions.domain.ledger import (
    ENTRIES_MAX,
    ENTRIES_MIN,
    GENESIS_HASH,
    Account,
    AccountKind,
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
    TransactionUnbalanced,
    block_hash,
    entries_hash,
)
from services.commissions.storage.cap_store import find_usage_unlike_its_grants
from services.commissions.storage.ledger_reader import (
    StoredBlock,
    StoredTransaction,
    find_commission_unlike_its_entries,
    find_transaction_without_block,
    last_block_number,
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


Progress = Callable[[int, int], None]
"""Told how many are done, and of how many."""


def in_silence(done: int, total: int) -> None:
    """Progress for whoever watches nothing."""


async def verify_ledger(session: Session, progress: Progress = in_silence) -> LedgerProof:
    """Walk the whole chain in order, in bounded memory. Raises LedgerBroken at the first bad row.

    Blocks: gapless, chained, never back in time, each hash as computed from what is stored. Transactions: balanced,
    in a block, none missing from it, none added. Closed periods: closed where they say. Commissions: their amounts
    are the sums of their entries. Caps: their usage is the sum of what commissions hold.
    """
    proof = await _verify_blocks(session, progress)
    without = await find_transaction_without_block(session)
    if without is not None:
        raise _broken(f"ledger_transaction {without}", "no block seals it")
    period = await find_misplaced_close(session)
    if period is not None:
        raise _broken(f"period_close {period}", "is not at the last block of its period")
    commission_id = await find_commission_unlike_its_entries(session)
    if commission_id is not None:
        raise _broken(f"commission {commission_id}", "its amounts are not the sums of its ledger entries")
    key = await find_usage_unlike_its_grants(session)
    if key is not None:
        raise _broken(f"cap_usage {key}", "is not the sum of what commissions hold under it")
    return proof


async def _verify_blocks(session: Session, progress: Progress) -> LedgerProof:
    """The chain and what it seals, side by side: one block and its transactions in memory at a time."""
    total = await last_block_number(session)
    before: StoredBlock | None = None
    transactions = entries = 0
    postings = _Postings(stream_transactions(session))
    async for stored in stream_blocks(session):
        _verify_link(before, stored)
        posting = await postings.of_block(stored.block.number)
        _verify_posting(stored, posting)
        transactions += len(posting)
        entries += sum(len(transaction.entries) for transaction in posting)
        before = stored
        progress(stored.block.number, total)
    return LedgerProof(before.block.number if before else 0, transactions, entries)


async def verify_span(session: Session, blocks: Sequence[StoredBlock], *, after: StoredBlock | None) -> None:
    """Prove blocks that follow `after` (None: the ledger's beginning), and their transactions. Raises LedgerBroken."""
    if not blocks:
        return
    first, last = blocks[0].block.number, blocks[-1].block.number
    postings = _Postings(stream_transactions(session, first=first, last=last))
    for stored in blocks:
        _verify_link(after, stored)
        _verify_posting(stored, await postings.of_block(stored.block.number))
        after = stored


class _Postings:
    """The transactions of one block after the other, from a stream in the chain's order."""

    def __init__(self, transactions: AsyncIterator[StoredTransaction]) -> None:
        self._transactions = transactions
        self._next: StoredTransaction | None = None

    async def of_block(self, number: int) -> list[StoredTransaction]:
        """Those of this block; ask in ascending order."""
        posting = []
        while (transaction := self._next or await anext(self._transactions, None)) is not None:
            self._next = transaction
            if transaction.block_number != number:
                break
            posting.append(transaction)
            self._next = None
        return posting


def _verify_link(before: StoredBlock | None, stored: StoredBlock) -> None:
    block = stored.block
    expected = before.block.number + 1 if before else 1
    if block.number != expected:
        raise _broken(f"block {expected}", "is missing")
    if block.previous_hash != (before.hash if before else GENESIS_HASH):
        raise _broken(f"block {block.number}", "does not name the hash of the block before it")
    if before is not None and block.booked_at < before.block.booked_at:
        raise _broken(f"block {block.number}", "was booked before the block before it")
    computed = block_hash(
        number=block.number,
        booked_at=block.booked_at,
        previous_hash=block.previous_hash,
        entries_hash=block.entries_hash,
    )
    if stored.hash != computed:
        raise _broken(f"block {block.number}", "its hash does not follow from its fields")


def _verify_posting(stored: StoredBlock, posting: list[StoredTransaction]) -> None:
    if not posting:
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
