"""Bulk jobs and their rows: what was asked, how far the worker is, and what became of each row."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.conversions.domain.bulk import BulkAction, BulkRow, RowOutcome, RowResult
from services.conversions.domain.reason_codes import ReasonCode
from shared.kernel.money import Money
from shared.runtime.database import Session

_INSERTED_AT_ONCE: Final = 5_000
_ROW_COLUMNS: Final = [
    "number",
    "ref",
    "event",
    "action",
    "reason_code",
    "adjustment_id",
    "new_amount_minor",
    "refund_amount_minor",
    "currency",
    "outcome",
    "code",
    "field",
]
_INSERT_ROWS: Final = (
    f"INSERT INTO bulk_row (job_id, merchant_id, {', '.join(_ROW_COLUMNS)})"  # noqa: S608
    f" SELECT $1, $2, {', '.join(_ROW_COLUMNS)} FROM unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::text[],"
    " $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[])"
    f" AS given({', '.join(_ROW_COLUMNS)})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkJob:
    """One job. merchant_id: whose conversions it may change; None for an admin's over all merchants.

    next_row: the first row that is not worked on yet. done, already, refused: rows so far, by outcome.
    """

    id: UUID
    merchant_id: int | None
    role: str
    key_id: str
    content_hash: bytes
    row_count: int
    requested_at: datetime
    next_row: int = 1
    done: int = 0
    already: int = 0
    refused: int = 0
    finished_at: datetime | None = None


async def count_open_jobs(session: Session, merchant_id: int | None) -> int:
    """Jobs of this party that are not finished."""
    result = await session.execute(
        text(
            "SELECT count(*) FROM bulk_job WHERE finished_at IS NULL"
            " AND merchant_id IS NOT DISTINCT FROM CAST(:merchant_id AS int)"
        ),
        {"merchant_id": merchant_id},
    )
    return int(result.scalar_one())


async def insert_job(session: Session, job: BulkJob, rows: Sequence[BulkRow]) -> None:
    """Add a job and its rows; those with a fault are refused already."""
    await session.execute(
        text(
            "INSERT INTO bulk_job (id, merchant_id, role, key_id, content_hash, row_count, requested_at, worked_at,"
            " next_row, done, already, refused) VALUES (:id, :merchant_id, :role, :key_id, :content_hash, :row_count,"
            " :requested_at, :requested_at, 1, 0, 0, :refused)"
        ),
        {
            "id": job.id,
            "merchant_id": job.merchant_id,
            "role": job.role,
            "key_id": job.key_id,
            "content_hash": job.content_hash,
            "row_count": job.row_count,
            "requested_at": job.requested_at,
            "refused": job.refused,
        },
    )
    connection = await session.connection()
    for start in range(0, len(rows), _INSERTED_AT_ONCE):
        values = [_row_values(row) for row in rows[start : start + _INSERTED_AT_ONCE]]
        columns = [list(column) for column in zip(*values, strict=True)]
        await connection.exec_driver_sql(_INSERT_ROWS, (job.id, job.merchant_id, *columns))


def _row_values(row: BulkRow) -> tuple[Any, ...]:
    amount = row.new_amount or row.refund_amount
    return (
        row.number,
        row.ref,
        row.event,
        row.action,
        row.reason,
        row.adjustment_id,
        None if row.new_amount is None else row.new_amount.amount_minor,
        None if row.refund_amount is None else row.refund_amount.amount_minor,
        None if amount is None else amount.currency,
        None if row.fault is None else RowOutcome.REFUSED.value,
        row.fault,
        row.field,
    )


async def find_job(session: Session, job_id: UUID) -> BulkJob | None:
    """A job that the session may see."""
    result = await session.execute(text("SELECT * FROM bulk_job WHERE id = :id"), {"id": job_id})
    row = result.mappings().first()
    return None if row is None else _job(row)


async def lock_next_job(session: Session) -> BulkJob | None:
    """The open job that has waited longest for its turn, skipping what another worker has in hand."""
    result = await session.execute(
        text("SELECT * FROM bulk_job WHERE finished_at IS NULL ORDER BY worked_at, id LIMIT 1 FOR UPDATE SKIP LOCKED")
    )
    row = result.mappings().first()
    return None if row is None else _job(row)


async def read_open_rows(session: Session, job: BulkJob, limit: int) -> list[BulkRow]:
    """The next rows of a job, up to `limit`, those that were refused at the door among them."""
    result = await session.execute(
        text("SELECT * FROM bulk_row WHERE job_id = :job_id AND number >= :next_row ORDER BY number LIMIT :limit"),
        {"job_id": job.id, "next_row": job.next_row, "limit": limit},
    )
    return [_row(row) for row in result.mappings()]


async def find_ids_of_orders(session: Session, merchant_id: int, order_ids: Collection[str]) -> list[UUID]:
    """The conversions of a merchant's orders."""
    if not order_ids:
        return []
    result = await session.execute(
        text("SELECT id FROM conversion WHERE merchant_id = :merchant_id AND order_id = ANY(:order_ids)"),
        {"merchant_id": merchant_id, "order_ids": list(order_ids)},
    )
    return [row.id for row in result]


async def record_results(session: Session, job: BulkJob, results: Sequence[RowResult]) -> None:
    """What became of rows of `job`."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE bulk_row SET outcome = given.outcome, code = given.code, field = given.field,"
        " conversion_id = given.conversion_id, status = given.status FROM unnest($2::int[], $3::text[], $4::text[],"
        " $5::text[], $6::uuid[], $7::text[]) AS given(number, outcome, code, field, conversion_id, status)"
        " WHERE job_id = $1 AND bulk_row.number = given.number",
        (
            job.id,
            [result.number for result in results],
            [result.outcome.value for result in results],
            [result.code for result in results],
            [result.field for result in results],
            [result.conversion_id for result in results],
            [result.status for result in results],
        ),
    )


async def advance_job(
    session: Session, job: BulkJob, *, next_row: int, counts: Mapping[RowOutcome, int], now: datetime
) -> None:
    """Move a locked job to `next_row`, and finish it behind its last row."""
    await session.execute(
        text(
            "UPDATE bulk_job SET next_row = :next_row, done = done + :done, already = already + :already,"
            " refused = refused + :refused, worked_at = :now,"
            " finished_at = CASE WHEN :next_row > row_count THEN CAST(:now AS timestamptz) END WHERE id = :id"
        ),
        {
            "id": job.id,
            "next_row": next_row,
            "now": now,
            **{outcome.value: counts.get(outcome, 0) for outcome in RowOutcome},
        },
    )


async def list_results(
    session: Session, job_id: UUID, *, outcome: str | None, after: int, limit: int
) -> Iterator[Mapping[str, Any]]:
    """Rows that have an outcome, in order, behind row `after`."""
    result = await session.execute(
        text(
            "SELECT number, ref, action, outcome, code, field, conversion_id, status FROM bulk_row"
            " WHERE job_id = :job_id AND number > :after AND outcome IS NOT NULL"
            " AND (CAST(:outcome AS text) IS NULL OR outcome = :outcome) ORDER BY number LIMIT :limit"
        ),
        {"job_id": job_id, "after": after, "outcome": outcome, "limit": limit},
    )
    return (dict(row) for row in result.mappings().all())


def _job(row: RowMapping) -> BulkJob:
    return BulkJob(
        id=row["id"],
        merchant_id=row["merchant_id"],
        role=row["role"],
        key_id=row["key_id"],
        content_hash=bytes(row["content_hash"]),
        row_count=row["row_count"],
        requested_at=row["requested_at"],
        next_row=row["next_row"],
        done=row["done"],
        already=row["already"],
        refused=row["refused"],
        finished_at=row["finished_at"],
    )


def _row(row: RowMapping) -> BulkRow:
    def money(column: str) -> Money | None:
        return None if row[column] is None else Money(row[column], row["currency"])

    return BulkRow(
        number=row["number"],
        ref=row["ref"],
        event=row["event"],
        action=None if row["action"] is None else BulkAction(row["action"]),
        reason=None if row["reason_code"] is None else ReasonCode(row["reason_code"]),
        adjustment_id=row["adjustment_id"],
        new_amount=money("new_amount_minor"),
        refund_amount=money("refund_amount_minor"),
        fault=row["code"] if row["outcome"] is not None else None,
        field=row["field"],
    )
