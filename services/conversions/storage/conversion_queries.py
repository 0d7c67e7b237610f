"""Conversions, trails and receipts as the API lists them: newest first, narrowed by row-level security."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from services.conversions.domain.conversion import Conversion
from services.conversions.storage.conversion_rows import read_conversion
from shared.runtime.database import Session

Conditions = Sequence[tuple[str, str, Any]]
Rows = list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ConversionFilter:
    """Which conversions to list. from_at, to_at: of the first receipt, half-open. before: last id of the page before.

    merchant_id, affiliate_id: a tenant's own, or what staff asks for; row-level security stands behind them.
    """

    merchant_id: int | None = None
    affiliate_id: int | None = None
    status: str | None = None
    offer_id: int | None = None
    order_ids: Sequence[str] | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    before: UUID | None = None


@dataclass(frozen=True, slots=True)
class ReceiptFilter:
    """Which receipts to list."""

    merchant_id: int | None = None
    order_ids: Sequence[str] | None = None
    outcome: int | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    before: UUID | None = None


async def list_conversions(session: Session, wanted: ConversionFilter, limit: int) -> list[Conversion]:
    """Those that match, newest first: one more than `limit` when there are more."""
    conditions = (
        ("merchant_id = :merchant_id", "merchant_id", wanted.merchant_id),
        ("affiliate_id = :affiliate_id", "affiliate_id", wanted.affiliate_id),
        ("status = :status", "status", wanted.status),
        ("offer_id = :offer_id", "offer_id", wanted.offer_id),
        ("order_id = ANY(:order_ids)", "order_ids", wanted.order_ids),
        ("first_received_at >= :from_at", "from_at", wanted.from_at),
        ("first_received_at < :to_at", "to_at", wanted.to_at),
        ("id < :before", "before", wanted.before),
    )
    return [read_conversion(row) for row in await _newest(session, "conversion", conditions, limit)]


async def find_conversion(session: Session, conversion_id: UUID) -> Conversion | None:
    """The conversion, or None when there is none the session may see."""
    result = await session.execute(text("SELECT * FROM conversion WHERE id = :id"), {"id": conversion_id})
    row = result.mappings().first()
    return None if row is None else read_conversion(dict(row))


async def list_versions(session: Session, conversion_id: UUID) -> Rows:
    """The trail of a conversion, oldest first."""
    result = await session.execute(
        text("SELECT * FROM conversion_version WHERE conversion_id = :id ORDER BY version"), {"id": conversion_id}
    )
    return [dict(row) for row in result.mappings()]


async def list_receipts(session: Session, wanted: ReceiptFilter, limit: int) -> Rows:
    """Receipts that match, newest first: one more than `limit` when there are more."""
    conditions = (
        ("merchant_id = :merchant_id", "merchant_id", wanted.merchant_id),
        ("order_id = ANY(:order_ids)", "order_ids", wanted.order_ids),
        ("outcome = :outcome", "outcome", wanted.outcome),
        ("received_at >= :from_at", "from_at", wanted.from_at),
        ("received_at < :to_at", "to_at", wanted.to_at),
        ("id < :before", "before", wanted.before),
    )
    return await _newest(session, "receipt", conditions, limit)


async def find_receipt(session: Session, receipt_id: UUID) -> Mapping[str, Any] | None:
    """The receipt, or None when there is none the session may see."""
    result = await session.execute(text("SELECT * FROM receipt WHERE id = :id"), {"id": receipt_id})
    row = result.mappings().first()
    return None if row is None else dict(row)


async def list_unauthenticated(session: Session, *, merchant_id: int | None, before: UUID | None, limit: int) -> Rows:
    """The last unauthenticated postbacks in a merchant's name, newest first: one more than `limit` when more."""
    conditions = (("merchant_id = :merchant_id", "merchant_id", merchant_id), ("id < :before", "before", before))
    return await _newest(session, "unauthenticated_postback", conditions, limit)


_TABLES: Final = frozenset({"conversion", "receipt", "unauthenticated_postback"})


async def _newest(session: Session, table: str, conditions: Conditions, limit: int) -> Rows:
    assert table in _TABLES
    asked = [(condition, name, value) for condition, name, value in conditions if value is not None]
    where = f"WHERE {' AND '.join(condition for condition, _, _ in asked)}" if asked else ""
    values: Mapping[str, Any] = {name: value for _, name, value in asked}
    statement = f"SELECT * FROM {table} {where} ORDER BY id DESC LIMIT :limit"  # noqa: S608
    result = await session.execute(text(statement), {**values, "limit": limit + 1})
    return [dict(row) for row in result.mappings()]
