"""Receipts, accepted contents, adjustments: what was answered, so that it can be answered and shown again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text

from services.conversions.domain.outcomes import Outcome
from shared.kernel.money import Money
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class Receipt:
    """One authenticated postback and what became of it. repeats_receipt_id: the first one, for a duplicate."""

    id: UUID
    merchant_id: int
    received_at: datetime
    transport: str
    credential_id: str | None
    request_id: str
    outcome: Outcome
    http_status: int
    conversion_id: UUID | None = None
    status: str | None = None
    duplicate: bool = False
    repeats_receipt_id: UUID | None = None
    event: str | None = None
    order_id: str | None = None
    adjustment_id: str | None = None
    click_id: str | None = None
    errors: Sequence[dict[str, str]] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class AcceptedContent:
    """A later content of a conversion that was taken, with the answer it got."""

    conversion_id: UUID
    content_hash: bytes
    merchant_id: int
    receipt_id: UUID
    outcome: Outcome
    status: str


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One taking back. taken: None for a conversion without amount. receipt_id: None when it came by the API."""

    merchant_id: int
    order_key: str
    adjustment_id: str
    conversion_id: UUID
    content_hash: bytes
    taken: Money | None
    receipt_id: UUID | None
    outcome: Outcome
    status: str
    recorded_at: datetime


_RECEIPT_COLUMNS = {
    "id": "uuid",
    "merchant_id": "int",
    "received_at": "timestamptz",
    "transport": "text",
    "credential_id": "text",
    "request_id": "text",
    "http_status": "int",
    "outcome": "int",
    "conversion_id": "uuid",
    "status": "text",
    "duplicate": "boolean",
    "repeats_receipt_id": "uuid",
    "event": "text",
    "order_id": "text",
    "adjustment_id": "text",
    "click_id": "text",
}
_INSERT_RECEIPTS = (
    f"INSERT INTO receipt ({', '.join(_RECEIPT_COLUMNS)}, errors)"  # noqa: S608  (names of this module only)
    f" SELECT {', '.join(_RECEIPT_COLUMNS)}, errors::jsonb FROM unnest("
    + ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(_RECEIPT_COLUMNS.values(), start=1))
    + f", ${len(_RECEIPT_COLUMNS) + 1}::text[]) AS given({', '.join(_RECEIPT_COLUMNS)}, errors)"
)


async def insert_receipts(session: Session, receipts: Sequence[Receipt]) -> None:
    """Add receipts in one statement."""
    columns: list[list[Any]] = [[getattr(receipt, name) for receipt in receipts] for name in _RECEIPT_COLUMNS]
    columns.append([orjson.dumps(list(r.errors)).decode() if r.errors else "[]" for r in receipts])
    connection = await session.connection()
    await connection.exec_driver_sql(_INSERT_RECEIPTS, tuple(columns))


async def find_accepted_contents(session: Session, conversion_ids: Collection[UUID]) -> list[AcceptedContent]:
    """Every later content that was taken for these conversions."""
    result = await session.execute(
        text("SELECT * FROM accepted_content WHERE conversion_id = ANY(:ids)"), {"ids": list(conversion_ids)}
    )
    return [
        AcceptedContent(
            row["conversion_id"],
            row["content_hash"],
            row["merchant_id"],
            row["receipt_id"],
            Outcome(row["outcome"]),
            row["status"],
        )
        for row in result.mappings()
    ]


async def insert_accepted_content(session: Session, content: AcceptedContent) -> None:
    """Remember the answer of a later content."""
    await session.execute(
        text(
            "INSERT INTO accepted_content (conversion_id, content_hash, merchant_id, receipt_id, outcome, status)"
            " VALUES (:conversion_id, :content_hash, :merchant_id, :receipt_id, :outcome, :status)"
        ),
        {
            "conversion_id": content.conversion_id,
            "content_hash": content.content_hash,
            "merchant_id": content.merchant_id,
            "receipt_id": content.receipt_id,
            "outcome": int(content.outcome),
            "status": content.status,
        },
    )


async def find_adjustment(
    session: Session, *, merchant_id: int, order_key: str, adjustment_ids: Collection[str]
) -> Adjustment | None:
    """The adjustment under one of its ids; the caller holds the lock of the order's conversions."""
    result = await session.execute(
        text(
            "SELECT * FROM adjustment WHERE merchant_id = :merchant_id AND order_key = :order_key"
            " AND adjustment_id = ANY(:adjustment_ids)"
        ),
        {"merchant_id": merchant_id, "order_key": order_key, "adjustment_ids": list(adjustment_ids)},
    )
    row = result.mappings().first()
    return None if row is None else _read_adjustment(row)


class AdjustmentTaken(Exception):
    """Another transaction recorded an adjustment under the same key, on another conversion of the order."""


async def insert_adjustment(session: Session, adjustment: Adjustment) -> None:
    """Add an adjustment, before what it does is recorded. Raises AdjustmentTaken, and then nothing was added."""
    result = await session.execute(
        text(
            "INSERT INTO adjustment (merchant_id, order_key, adjustment_id, conversion_id, content_hash, amount_minor,"
            " currency, receipt_id, outcome, status, recorded_at) VALUES (:merchant_id, :order_key, :adjustment_id,"
            " :conversion_id, :content_hash, :amount_minor, :currency, :receipt_id, :outcome, :status, :recorded_at)"
            " ON CONFLICT DO NOTHING RETURNING adjustment_id"
        ),
        {
            "merchant_id": adjustment.merchant_id,
            "order_key": adjustment.order_key,
            "adjustment_id": adjustment.adjustment_id,
            "conversion_id": adjustment.conversion_id,
            "content_hash": adjustment.content_hash,
            "amount_minor": None if adjustment.taken is None else adjustment.taken.amount_minor,
            "currency": None if adjustment.taken is None else adjustment.taken.currency,
            "receipt_id": adjustment.receipt_id,
            "outcome": int(adjustment.outcome),
            "status": adjustment.status,
            "recorded_at": adjustment.recorded_at,
        },
    )
    if result.first() is None:
        raise AdjustmentTaken


def _read_adjustment(row: RowMapping) -> Adjustment:
    return Adjustment(
        row["merchant_id"],
        row["order_key"],
        row["adjustment_id"],
        row["conversion_id"],
        row["content_hash"],
        None if row["currency"] is None else Money(row["amount_minor"], row["currency"]),
        row["receipt_id"],
        Outcome(row["outcome"]),
        row["status"],
        row["recorded_at"],
    )
