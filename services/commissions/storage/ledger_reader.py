"""The ledger as finance and the verifier read it. For the staff role: it sees every row."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from services.commissions.domain.ledger import Block
from shared.runtime.database import Session

ROWS_AT_ONCE: Final = 2_000
BLOCK_NUMBER_MAX: Final = 2**63 - 1
_ENTRIES: Final = (
    "array_agg(e.account ORDER BY e.n) AS accounts, array_agg(e.merchant_id ORDER BY e.n) AS merchant_ids,"
    " array_agg(e.affiliate_id ORDER BY e.n) AS affiliate_ids, array_agg(e.currency::text ORDER BY e.n) AS currencies,"
    " array_agg(e.amount_minor ORDER BY e.n) AS amounts, array_agg(e.payable_at ORDER BY e.n) AS payables"
)
_HEADER: Final = (
    "t.transaction_id, t.posting_id, t.kind, t.commission_id, t.conversion_id, t.conversion_version, t.offer_id,"
    " t.offer_version, t.reverses, t.occurred_at, t.reason_code"
)
_LIST: Final = f"""
    SELECT {_HEADER}, block.number, block.booked_at, {_ENTRIES}
    FROM (
        SELECT t.transaction_id FROM ledger_transaction AS t JOIN block USING (posting_id)
        WHERE ($1::uuid IS NULL OR t.commission_id = $1) AND ($2::bigint IS NULL OR block.number = $2)
            AND (($3::text IS NULL AND $4::text IS NULL) OR EXISTS (
                SELECT 1 FROM ledger_entry AS own WHERE own.transaction_id = t.transaction_id
                AND ($3 IS NULL OR own.account = $3) AND ($4 IS NULL OR own.currency = $4::char(3))))
            AND ($5::bigint IS NULL OR (block.number, t.transaction_id) < ($5, $6::uuid))
        ORDER BY block.number DESC, t.transaction_id DESC LIMIT $7
    ) AS shown JOIN ledger_transaction AS t USING (transaction_id) JOIN ledger_entry AS e USING (transaction_id)
        JOIN block USING (posting_id)
    GROUP BY t.transaction_id, block.number ORDER BY block.number DESC, t.transaction_id DESC
"""  # noqa: S608 (column names of our own)


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry as stored. Debit is positive."""

    account: str
    merchant_id: int | None
    affiliate_id: int | None
    currency: str
    amount_minor: int
    payable_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """One transaction as stored; unlike a LedgerTransaction it may be wrong, which the verifier looks for."""

    transaction_id: UUID
    posting_id: UUID
    kind: str
    commission_id: UUID | None
    conversion_id: UUID | None
    conversion_version: int | None
    offer_id: int | None
    offer_version: int | None
    reverses: UUID | None
    occurred_at: datetime
    reason_code: str | None
    block_number: int
    booked_at: datetime
    entries: Sequence[StoredEntry]


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block, with the hash that is stored and not the one that follows from the rest."""

    block: Block
    hash: bytes


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """Which transactions. before: (block, id) of the last one shown."""

    account: str | None = None
    currency: str | None = None
    commission_id: UUID | None = None
    block_number: int | None = None
    before: tuple[int, UUID] | None = None


@dataclass(frozen=True, slots=True)
class AccountSum:
    """What one kind of account comes to in one currency: both sides positive."""

    account_kind: str
    currency: str
    debit_minor: int
    credit_minor: int


async def list_transactions(session: Session, wanted: LedgerFilter, *, limit: int) -> list[StoredTransaction]:
    """At most `limit`, newest block first."""
    connection = await session.connection()
    before_number, before_id = wanted.before or (None, None)
    result = await connection.exec_driver_sql(
        _LIST,
        (
            wanted.commission_id,
            wanted.block_number,
            wanted.account,
            wanted.currency,
            before_number,
            before_id,
            limit,
        ),
    )
    return [_transaction(row) for row in result]


async def list_block_rows(session: Session, *, before: int | None, limit: int) -> list[StoredBlock]:
    """At most `limit`, newest first."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT number, posting_id, booked_at, previous_hash, entries_hash, hash FROM block"
        " WHERE $1::bigint IS NULL OR number < $1 ORDER BY number DESC LIMIT $2",
        (before, limit),
    )
    return [_block(row) for row in result]


async def last_block_number(session: Session) -> int:
    """The newest block's number; 0 while there is none."""
    connection = await session.connection()
    number: int = (await connection.exec_driver_sql("SELECT coalesce(max(number), 0) FROM block")).scalar_one()
    return number


async def sum_accounts(session: Session, *, until_number: int) -> list[AccountSum]:
    """Every account kind and currency, up to and with the block."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT split_part(e.account, ':', 1) AS account_kind, e.currency::text AS currency,"
        " coalesce(sum(e.amount_minor) FILTER (WHERE e.amount_minor > 0), 0) AS debit,"
        " coalesce(-sum(e.amount_minor) FILTER (WHERE e.amount_minor < 0), 0) AS credit"
        " FROM ledger_entry AS e JOIN ledger_transaction AS t USING (transaction_id) JOIN block USING (posting_id)"
        " WHERE block.number <= $1 GROUP BY 1, 2 ORDER BY 2, 1",
        (until_number,),
    )
    return [AccountSum(row.account_kind, row.currency, int(row.debit), int(row.credit)) for row in result]


async def stream_blocks(session: Session) -> AsyncIterator[StoredBlock]:
    """The chain, in order."""
    result = await session.stream(
        text("SELECT number, posting_id, booked_at, previous_hash, entries_hash, hash FROM block ORDER BY number"),
        execution_options={"yield_per": ROWS_AT_ONCE},
    )
    async for row in result:
        yield _block(row)


async def list_blocks_after(session: Session, number: int, *, limit: int) -> list[StoredBlock]:
    """At most `limit` of the chain after block `number`, in order."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT number, posting_id, booked_at, previous_hash, entries_hash, hash FROM block"
        " WHERE number > $1 ORDER BY number LIMIT $2",
        (number, limit),
    )
    return [_block(row) for row in result]


async def sum_currencies(session: Session, *, first: int, last: int) -> dict[str, int]:
    """What all entries of these blocks come to, by currency: zero, if the books balance."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT e.currency::text AS currency, sum(e.amount_minor) AS amount_minor FROM ledger_entry AS e"
        " JOIN ledger_transaction AS t USING (transaction_id) JOIN block USING (posting_id)"
        " WHERE block.number BETWEEN $1 AND $2 GROUP BY 1",
        (first, last),
    )
    return {row.currency: int(row.amount_minor) for row in result}


async def stream_transactions(
    session: Session, *, first: int = 1, last: int = BLOCK_NUMBER_MAX
) -> AsyncIterator[StoredTransaction]:
    """Every transaction of these blocks, in the chain's order; those without entries with none."""
    result = await session.stream(
        text(
            f"SELECT {_HEADER}, block.number, block.booked_at, {_ENTRIES} FROM ledger_transaction AS t"  # noqa: S608
            " JOIN block USING (posting_id) LEFT JOIN ledger_entry AS e USING (transaction_id)"
            " WHERE block.number BETWEEN :first AND :last"
            " GROUP BY t.transaction_id, block.number ORDER BY block.number, t.transaction_id"
        ),
        {"first": first, "last": last},
        execution_options={"yield_per": ROWS_AT_ONCE},
    )
    async for row in result:
        yield _transaction(row)


async def find_transaction_without_block(session: Session) -> UUID | None:
    """A transaction whose posting no block seals; None where all is well."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT transaction_id FROM ledger_transaction AS t WHERE NOT EXISTS"
        " (SELECT 1 FROM block WHERE block.posting_id = t.posting_id) ORDER BY transaction_id LIMIT 1"
    )
    found: UUID | None = result.scalar_one_or_none()
    return found


async def find_commission_unlike_its_entries(session: Session) -> UUID | None:
    """A commission whose amounts are not the sums of its ledger entries; None where all is well."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT commission_id FROM commission LEFT JOIN ("
        "   SELECT t.commission_id,"
        "     -coalesce(sum(e.amount_minor) FILTER (WHERE e.affiliate_id IS NOT NULL), 0) AS commission_minor,"
        "     -coalesce(sum(e.amount_minor) FILTER (WHERE e.account = 'network_margin'), 0) AS margin_minor,"
        "     coalesce(sum(e.amount_minor) FILTER (WHERE e.merchant_id IS NOT NULL), 0) AS charged_minor,"
        "     bool_and(e.currency = of.currency) AS one_currency"
        "   FROM ledger_transaction AS t JOIN ledger_entry AS e USING (transaction_id)"
        "   JOIN commission AS of ON of.commission_id = t.commission_id"
        "   WHERE t.kind IN ('accrual', 'approval', 'adjustment', 'reversal') GROUP BY t.commission_id"
        " ) AS booked USING (commission_id)"
        " WHERE commission.commission_minor <> coalesce(booked.commission_minor, 0)"
        " OR commission.margin_minor <> coalesce(booked.margin_minor, 0)"
        " OR commission.commission_minor + commission.margin_minor <> coalesce(booked.charged_minor, 0)"
        " OR NOT coalesce(booked.one_currency, true) ORDER BY commission_id LIMIT 1"
    )
    found: UUID | None = result.scalar_one_or_none()
    return found


def _block(row: Any) -> StoredBlock:
    block = Block(row.number, row.posting_id, row.booked_at, row.previous_hash, row.entries_hash)
    return StoredBlock(block, row.hash)


def _transaction(row: Any) -> StoredTransaction:
    columns = (row.accounts, row.merchant_ids, row.affiliate_ids, row.currencies, row.amounts, row.payables)
    entries = tuple(StoredEntry(*each) for each in zip(*columns, strict=True) if each[0] is not None)
    return StoredTransaction(
        transaction_id=row.transaction_id,
        posting_id=row.posting_id,
        kind=row.kind,
        commission_id=row.commission_id,
        conversion_id=row.conversion_id,
        conversion_version=row.conversion_version,
        offer_id=row.offer_id,
        offer_version=row.offer_version,
        reverses=row.reverses,
        occurred_at=row.occurred_at,
        reason_code=row.reason_code,
        block_number=row.number,
        booked_at=row.booked_at,
        entries=entries,
    )
