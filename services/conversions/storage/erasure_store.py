"""Erasures, and the tombstones that keep what was erased from coming back."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from services.conversions.storage.conversion_rows import ERASED_COLUMNS
from services.conversions.storage.ownership_store import forget_customer, forget_customers_of_clicks
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """One request. kind: click, customer. reference_hash: what stands for the reference, which itself is not kept."""

    id: UUID
    kind: str
    reference_hash: str
    merchant_id: int | None
    requested_by: str
    requested_at: datetime
    executed_at: datetime | None = None


_COLUMNS: Final = ", ".join(ErasureRow.__slots__)
_PROGRESS: Final = f"""
SELECT {_COLUMNS}, clicks, clicks_done, last_done_at FROM erasure, LATERAL (
    SELECT count(*) AS clicks, count(clicks_done_at) AS clicks_done, max(clicks_done_at) AS last_done_at
    FROM erased_click WHERE erasure_id = erasure.id) AS progress
"""  # noqa: S608 (our own names)
_BLANK: Final = f"UPDATE conversion SET {ERASED_COLUMNS}"  # noqa: S608


async def insert_erasure(session: Session, erasure: ErasureRow) -> bool:
    """Add a request; False when the same reference was asked for before."""
    result = await session.execute(
        text(
            "INSERT INTO erasure (id, kind, reference_hash, merchant_id, requested_by, requested_at)"
            " VALUES (:id, :kind, :reference_hash, :merchant_id, :requested_by, :requested_at)"
            " ON CONFLICT (reference_hash) DO NOTHING RETURNING id"
        ),
        {name: getattr(erasure, name) for name in ErasureRow.__slots__ if name != "executed_at"},
    )
    return result.first() is not None


async def find_erasure_by_reference(session: Session, reference_hash: str) -> Mapping[str, Any]:
    """The request for that reference, with its progress."""
    result = await session.execute(
        text(f"{_PROGRESS} WHERE reference_hash = :reference_hash"), {"reference_hash": reference_hash}
    )
    return dict(result.mappings().one())


async def find_erasure(session: Session, erasure_id: UUID) -> Mapping[str, Any] | None:
    """One request with its progress: clicks, clicks_done, last_done_at."""
    result = await session.execute(text(f"{_PROGRESS} WHERE id = :id"), {"id": erasure_id})
    row = result.mappings().first()
    return None if row is None else dict(row)


async def list_erasures(session: Session, *, before: UUID | None, limit: int) -> list[Mapping[str, Any]]:
    """Newest first, with their progress."""
    where = "WHERE id < :before" if before is not None else ""
    values = {"limit": limit, **({"before": before} if before is not None else {})}
    result = await session.execute(text(f"{_PROGRESS} {where} ORDER BY id DESC LIMIT :limit"), values)
    return [dict(row) for row in result.mappings()]


async def lock_open_erasure(session: Session) -> ErasureRow | None:
    """The oldest request that is not executed yet, locked."""
    result = await session.execute(
        text(f"SELECT {_COLUMNS} FROM erasure WHERE executed_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")  # noqa: S608
    )
    row = result.mappings().first()
    return None if row is None else ErasureRow(**row)


async def mark_executed(session: Session, erasure_id: UUID, now: datetime) -> None:
    """Say that nothing of it is left in this service."""
    await session.execute(text("UPDATE erasure SET executed_at = :now WHERE id = :id"), {"id": erasure_id, "now": now})


async def add_erased_customer(session: Session, *, merchant_id: int, customer_id: str, now: datetime) -> None:
    """From now on this customer is not kept. customer_id: its stand-in."""
    await session.execute(
        text("INSERT INTO erased_customer VALUES (:merchant_id, :customer_id, :now) ON CONFLICT DO NOTHING"),
        {"merchant_id": merchant_id, "customer_id": customer_id, "now": now},
    )


async def put_stand_in(session: Session, *, merchant_id: int, customer_id: str, stand_in: str) -> None:
    """Conversions recorded before references were replaced get the stand-in, by which the erasure finds them."""
    await session.execute(
        text(
            "UPDATE conversion SET customer_id = :stand_in WHERE merchant_id = :merchant_id"
            " AND customer_id = :customer_id"
        ),
        {"merchant_id": merchant_id, "customer_id": customer_id, "stand_in": stand_in},
    )


async def add_erased_clicks(
    session: Session, erasure_id: UUID, click_ids: Collection[bytes], now: datetime
) -> list[bytes]:
    """From now on nothing is kept of these clicks; gives those that are new to the request."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "INSERT INTO erased_click (click_id, erasure_id, erased_at) SELECT id, $2, $3 FROM unnest($1::bytea[]) AS id"
        " ON CONFLICT DO NOTHING RETURNING click_id",
        (list(click_ids), erasure_id, now),
    )
    return [bytes(row.click_id) for row in result]


async def find_clicks_of(session: Session, erasure_id: UUID) -> list[bytes]:
    """Every click of a request."""
    result = await session.execute(text("SELECT click_id FROM erased_click WHERE erasure_id = :id"), {"id": erasure_id})
    return [bytes(row.click_id) for row in result]


async def mark_clicks_done(session: Session, done: Sequence[tuple[UUID, bytes]], now: datetime) -> int:
    """Note what clicks reported; gives how many were news."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "UPDATE erased_click SET clicks_done_at = $3 FROM unnest($1::uuid[], $2::bytea[]) AS done (erasure, click)"
        " WHERE erasure_id = done.erasure AND click_id = done.click AND clicks_done_at IS NULL",
        ([erasure_id for erasure_id, _ in done], [click_id for _, click_id in done], now),
    )
    return result.rowcount


async def blank_conversions_of_customer(
    session: Session, *, merchant_id: int, customer_id: str, limit: int
) -> list[bytes | None]:
    """Take the customer out of up to `limit` conversions; gives their click IDs, None for those without.

    Nobody owns it any more.
    """
    await forget_customer(session, merchant_id=merchant_id, customer_id=customer_id)
    result = await session.execute(
        text(
            f"{_BLANK} WHERE id IN (SELECT id FROM conversion WHERE merchant_id = :merchant_id"  # noqa: S608
            " AND customer_id = :customer_id LIMIT :limit FOR UPDATE) RETURNING click_id"
        ),
        {"merchant_id": merchant_id, "customer_id": customer_id, "limit": limit},
    )
    return [None if row.click_id is None else bytes(row.click_id) for row in result]


async def blank_conversions_of_clicks(session: Session, click_ids: Collection[bytes]) -> int:
    """Take the customer out of these clicks' conversions, and the clicks out of the index; gives how many it took."""
    await forget_customers_of_clicks(session, click_ids)
    connection = await session.connection()
    blanked = await connection.exec_driver_sql(
        f"{_BLANK} WHERE click_id = ANY ($1::bytea[])"
        " AND (num_nonnulls(customer_id, customer_status, items) > 0 OR merchant_subs <> '{}')",
        (list(click_ids),),
    )
    dropped = await connection.exec_driver_sql(
        "DELETE FROM click_detail WHERE click_id = ANY ($1::bytea[])", (list(click_ids),)
    )
    return blanked.rowcount + dropped.rowcount


async def forget_kept_answers(session: Session, words: Collection[str]) -> int:
    """Drop kept answers that show one of `words`; gives how many."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "DELETE FROM idempotency_key WHERE EXISTS (SELECT FROM unnest($1::bytea[]) AS word"
        " WHERE position(word IN answer) > 0)",
        ([word.encode("utf-8") for word in words],),
    )
    return result.rowcount


async def find_erased_since(session: Session, since: datetime) -> tuple[list[tuple[int, str]], list[bytes]]:
    """Customers (merchant, stand-in) and clicks erased at or after `since`."""
    customers = await session.execute(
        text("SELECT merchant_id, customer_id FROM erased_customer WHERE erased_at >= :since"), {"since": since}
    )
    clicks = await session.execute(
        text("SELECT DISTINCT click_id FROM erased_click WHERE erased_at >= :since"), {"since": since}
    )
    return [(row.merchant_id, row.customer_id) for row in customers], [bytes(row.click_id) for row in clicks]
