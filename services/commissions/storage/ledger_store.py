"""The ledger in PostgreSQL: postings go in with their block, and nothing is ever changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from services.commissions.domain.ledger import GENESIS_HASH, Block, LedgerTransaction, entries_hash
from shared.kernel.period import Period, parse_period
from shared.runtime.database import Session

_BLOCK_LOCK: Final = 0x7472_6962_626C_6F63
"""The one advisory lock under which blocks are sealed and periods closed."""

_INSERT_TRANSACTIONS: Final = """
    INSERT INTO ledger_transaction (transaction_id, posting_id, kind, commission_id, conversion_id,
        conversion_version, offer_id, offer_version, reverses, occurred_at, reason_code)
    SELECT id, $2, kind, commission_id, conversion_id, conversion_version, offer_id, offer_version, reverses,
        occurred_at, reason_code
    FROM unnest($1::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::int[], $7::int[], $8::int[], $9::uuid[],
        $10::timestamptz[], $11::text[])
        AS new (id, kind, commission_id, conversion_id, conversion_version, offer_id, offer_version, reverses,
        occurred_at, reason_code)
"""
_INSERT_ENTRIES: Final = """
    INSERT INTO ledger_entry (transaction_id, n, account, merchant_id, affiliate_id, currency, amount_minor, payable_at)
    SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::int[], $5::int[], $6::text[], $7::bigint[],
        $8::timestamptz[])
"""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the last block's number, time and hash; zero, None and the genesis hash before the first.

    closed_until: the end of the last closed period, None while none is.
    """

    number: int
    booked_at: datetime | None
    hash: bytes
    closed_until: datetime | None


async def insert_transactions(session: Session, transactions: Sequence[LedgerTransaction], *, posting_id: UUID) -> None:
    """Write transactions with all their entries, in two statements. Seal the posting in the same transaction."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        _INSERT_TRANSACTIONS,
        (
            [transaction.transaction_id for transaction in transactions],
            posting_id,
            [transaction.kind.value for transaction in transactions],
            [transaction.commission_id for transaction in transactions],
            [transaction.conversion_id for transaction in transactions],
            [transaction.conversion_version for transaction in transactions],
            [transaction.offer_id for transaction in transactions],
            [transaction.offer_version for transaction in transactions],
            [transaction.reverses for transaction in transactions],
            [transaction.occurred_at for transaction in transactions],
            [transaction.reason_code for transaction in transactions],
        ),
    )
    numbered = [
        (transaction.transaction_id, n, entry)
        for transaction in transactions
        for n, entry in enumerate(transaction.entries, start=1)
    ]
    await connection.exec_driver_sql(
        _INSERT_ENTRIES,
        (
            [transaction_id for transaction_id, _, _ in numbered],
            [n for _, n, _ in numbered],
            [str(entry.account) for _, _, entry in numbered],
            [entry.account.merchant_id for _, _, entry in numbered],
            [entry.account.affiliate_id for _, _, entry in numbered],
            [entry.currency for _, _, entry in numbered],
            [entry.amount_minor for _, _, entry in numbered],
            [entry.payable_at for _, _, entry in numbered],
        ),
    )


async def lock_head(session: Session) -> Head:
    """Take the one block lock until the transaction ends, and read the end of the chain.

    Take no row lock after it: every posting waits here.
    """
    connection = await session.connection()
    await connection.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (_BLOCK_LOCK,))
    result = await connection.exec_driver_sql(
        "SELECT (SELECT max(period) FROM period_close) AS closed, last.number, last.booked_at, last.hash"
        " FROM (SELECT 1) AS one LEFT JOIN (SELECT number, booked_at, hash FROM block ORDER BY number DESC LIMIT 1)"
        " AS last ON true"
    )
    row = result.one()
    closed_until = parse_period(row.closed).end if row.closed is not None else None
    return Head(row.number or 0, row.booked_at, row.hash or GENESIS_HASH, closed_until)


async def seal_posting(
    session: Session, transactions: Sequence[LedgerTransaction], *, posting_id: UUID, now: datetime
) -> Block:
    """Insert the block of a posting: gapless number, time that never goes back nor into a closed period, hashes.

    The last lock of its transaction: commit soon after.
    """
    head = await lock_head(session)
    block = Block(
        number=head.number + 1,
        posting_id=posting_id,
        booked_at=max(instant for instant in (now, head.booked_at, head.closed_until) if instant is not None),
        previous_hash=head.hash,
        entries_hash=entries_hash(transactions),
    )
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO block (number, posting_id, booked_at, previous_hash, entries_hash, hash)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        (block.number, posting_id, block.booked_at, block.previous_hash, block.entries_hash, block.hash),
    )
    return block


async def first_open_period(session: Session) -> Period | None:
    """The oldest period with bookings or after a closed one that is not closed; None while nothing was ever booked."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT (SELECT max(period) FROM period_close) AS closed,"
        " (SELECT to_char(min(booked_at) AT TIME ZONE 'UTC', 'YYYY-MM') FROM block) AS first"
    )
    row = result.one()
    if row.closed is not None:
        return parse_period(row.closed).following()
    return parse_period(row.first) if row.first is not None else None


async def insert_period_close(session: Session, period: Period, *, now: datetime) -> None:
    """Close `period` at its last block (0 where it has none). Only under the block lock."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO period_close (period, block_number, closed_at)"
        " SELECT $1, coalesce(max(number), 0), $3 FROM block WHERE booked_at < $2",
        (str(period), period.end, now),
    )
