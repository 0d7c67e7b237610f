"""Merchants' payments, their prepaid balances, and the sums both follow from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from services.commissions.domain.prefunding import Prefunding, PrefundingState
from shared.runtime.database import Session

_PAYMENT: Final = (
    "payment_id, merchant_id, currency::text AS currency, amount_minor, received_on, reference, reverses, reason_code,"
    " recorded_at, actor"
)
_PREFUNDING: Final = (
    "merchant_id, currency::text AS currency, low_balance_minor, pauses_at_zero, state, available_minor, block_number,"
    " version, changed_at"
)
_SUMS: Final = (
    "coalesce(sum(e.amount_minor) FILTER (WHERE e.account LIKE 'merchant_receivable:%'), 0) AS receivable,"
    " coalesce(sum(e.amount_minor) FILTER (WHERE e.account LIKE 'merchant_prepaid:%'), 0) AS prepaid"
)


@dataclass(frozen=True, slots=True)
class MerchantPayment:
    """One payment, or one taken back (amount below zero). reference: the bank's or the merchant's own, as written."""

    payment_id: UUID
    merchant_id: int
    currency: str
    amount_minor: int
    received_on: date
    reference: str
    reverses: UUID | None
    reason_code: str | None
    recorded_at: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class MerchantSums:
    """What stands on a merchant's two accounts in one currency, as the ledger has it: a credit is below zero."""

    merchant_id: int
    currency: str
    receivable_minor: int
    prepaid_minor: int

    @property
    def available_minor(self) -> int:
        """Prepaid less owed."""
        return -self.prepaid_minor - self.receivable_minor


async def insert_payment(session: Session, payment: MerchantPayment) -> bool:
    """Write a payment; False where the same one was written before."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "INSERT INTO merchant_payment (payment_id, merchant_id, currency, amount_minor, received_on, reference,"
        " reverses, reason_code, recorded_at, actor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " ON CONFLICT DO NOTHING RETURNING payment_id",
        tuple(getattr(payment, name) for name in MerchantPayment.__slots__),
    )
    return result.one_or_none() is not None


async def find_payment(session: Session, payment_id: UUID) -> MerchantPayment | None:
    """One payment, if the caller may see it."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_PAYMENT} FROM merchant_payment WHERE payment_id = $1",  # noqa: S608 (own column names)
        (payment_id,),
    )
    row = result.mappings().one_or_none()
    return None if row is None else MerchantPayment(**row)


async def list_payments(
    session: Session, *, merchant_id: int | None, before: UUID | None, limit: int
) -> list[MerchantPayment]:
    """Payments, newest first."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_PAYMENT} FROM merchant_payment"  # noqa: S608 (own column names)
        " WHERE ($1::int IS NULL OR merchant_id = $1) AND ($2::uuid IS NULL OR payment_id < $2)"
        " ORDER BY payment_id DESC LIMIT $3",
        (merchant_id, before, limit),
    )
    return [MerchantPayment(**row) for row in result.mappings()]


async def sum_merchants(
    session: Session, *, merchant_id: int | None = None, after_block: int = 0, until_block: int | None = None
) -> list[MerchantSums]:
    """Sums of the entries of blocks after `after_block` to `until_block`; of every merchant where none is named."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT e.merchant_id, e.currency::text AS currency, {_SUMS} FROM block"  # noqa: S608 (own column names)
        " JOIN ledger_transaction USING (posting_id) JOIN ledger_entry AS e USING (transaction_id)"
        " WHERE block.number > $2 AND ($3::bigint IS NULL OR block.number <= $3)"
        " AND e.merchant_id IS NOT NULL AND ($1::int IS NULL OR e.merchant_id = $1) GROUP BY 1, 2 ORDER BY 1, 2",
        (merchant_id, after_block, until_block),
    )
    return [_sums(row) for row in result]


async def sum_merchant(session: Session, merchant_id: int) -> list[MerchantSums]:
    """Sums of all entries of one merchant, by its index."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT e.merchant_id, e.currency::text AS currency, {_SUMS} FROM ledger_entry AS e"  # noqa: S608
        " WHERE e.merchant_id = $1 GROUP BY 1, 2 ORDER BY 2",
        (merchant_id,),
    )
    return [_sums(row) for row in result]


def _sums(row: Any) -> MerchantSums:
    return MerchantSums(row.merchant_id, row.currency, int(row.receivable), int(row.prepaid))


async def head_block(session: Session) -> int:
    """The number of the newest block."""
    connection = await session.connection()
    number: int = (await connection.exec_driver_sql("SELECT coalesce(max(number), 0) FROM block")).scalar_one()
    return number


async def list_prefundings(session: Session, *, merchant_id: int | None = None) -> list[tuple[Prefunding, int]]:
    """What merchants chose, with each row's version."""
    return await _read(session, "WHERE $1::int IS NULL OR merchant_id = $1 ORDER BY merchant_id, currency", merchant_id)


async def lock_prefundings(session: Session) -> list[tuple[Prefunding, int]]:
    """Every row that no other worker has in hand, locked until the transaction ends."""
    return await _read(session, "WHERE $1::int IS NULL ORDER BY merchant_id, currency FOR UPDATE SKIP LOCKED", None)


async def lock_prefunding(session: Session, merchant_id: int, currency: str) -> tuple[Prefunding, int] | None:
    """One row, locked until the transaction ends."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_PREFUNDING} FROM prefunding WHERE merchant_id = $1 AND currency = $2 FOR UPDATE",  # noqa: S608
        (merchant_id, currency),
    )
    row = result.one_or_none()
    return None if row is None else _prefunding(row)


async def save_prefundings(session: Session, rows: Sequence[tuple[Prefunding, int]]) -> None:
    """Write rows with their versions, new or changed."""
    connection = await session.connection()
    for each, version in rows:
        await connection.exec_driver_sql(
            "INSERT INTO prefunding (merchant_id, currency, low_balance_minor, pauses_at_zero, state, available_minor,"
            " block_number, version, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            " ON CONFLICT (merchant_id, currency) DO UPDATE SET low_balance_minor = excluded.low_balance_minor,"
            " pauses_at_zero = excluded.pauses_at_zero, state = excluded.state,"
            " available_minor = excluded.available_minor, block_number = excluded.block_number,"
            " version = excluded.version, changed_at = excluded.changed_at",
            (
                each.merchant_id,
                each.currency,
                each.low_balance_minor,
                each.pauses_at_zero,
                each.state.value,
                each.available_minor,
                each.block_number,
                version,
                each.changed_at,
            ),
        )


async def _read(session: Session, clause: str, merchant_id: int | None) -> list[tuple[Prefunding, int]]:
    connection = await session.connection()
    result = await connection.exec_driver_sql(f"SELECT {_PREFUNDING} FROM prefunding {clause}", (merchant_id,))  # noqa: S608
    return [_prefunding(row) for row in result]


def _prefunding(row: Any) -> tuple[Prefunding, int]:
    return (
        Prefunding(
            merchant_id=row.merchant_id,
            currency=row.currency,
            low_balance_minor=row.low_balance_minor,
            pauses_at_zero=row.pauses_at_zero,
            state=PrefundingState(row.state),
            available_minor=int(row.available_minor),
            block_number=row.block_number,
            changed_at=row.changed_at,
        ),
        row.version,
    )
