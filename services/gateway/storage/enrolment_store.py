"""Enrolments with their intervals."""

# ruff: noqa: S608 - statements are put together from names of this module only

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from services.gateway.domain.enrolments import Enrolment, EnrolmentStatus
from services.gateway.domain.intervals import Interval
from services.gateway.storage.session import execute, fetch_all, fetch_one
from shared.runtime.database import Session

_INTERVALS = (
    "ARRAY(SELECT start_at FROM enrolment_interval i WHERE i.enrolment_id = e.enrolment_id ORDER BY number) AS starts,"
    " ARRAY(SELECT end_at FROM enrolment_interval i WHERE i.enrolment_id = e.enrolment_id ORDER BY number) AS ends"
)
_ENROLMENT = (
    f"e.enrolment_id, e.offer_id, e.affiliate_id, e.merchant_id, e.status, e.applied_at, e.decided_at, {_INTERVALS}"
)


def _enrolment(row: Row[Any]) -> Enrolment:
    return Enrolment(
        enrolment_id=row.enrolment_id,
        offer_id=row.offer_id,
        affiliate_id=row.affiliate_id,
        merchant_id=row.merchant_id,
        status=EnrolmentStatus(row.status),
        applied_at=row.applied_at,
        decided_at=row.decided_at,
        intervals=tuple(Interval(start, end) for start, end in zip(row.starts, row.ends, strict=True)),
    )


async def insert_application(
    session: Session, *, offer_id: int, affiliate_id: int, merchant_id: int, now: datetime
) -> bool:
    """Add an enrolment that is applied for; False when the affiliate has one for the offer already."""
    statement = (
        "INSERT INTO enrolment (offer_id, affiliate_id, merchant_id, status, applied_at)"
        " VALUES ($1, $2, $3, 'applied', $4) ON CONFLICT (offer_id, affiliate_id) DO NOTHING"
    )
    return await execute(session, statement, offer_id, affiliate_id, merchant_id, now) == 1


async def lock_enrolment(session: Session, enrolment_id: int) -> Enrolment | None:
    """The enrolment, locked until the transaction ends, if the caller may see it."""
    locked = await fetch_one(
        session, "SELECT enrolment_id FROM enrolment WHERE enrolment_id = $1 FOR UPDATE", enrolment_id
    )
    # A second statement: the intervals must be read after the lock is held.
    return None if locked is None else await find_enrolment(session, enrolment_id)


async def lock_enrolment_of(session: Session, *, offer_id: int, affiliate_id: int) -> Enrolment | None:
    """The same by offer and affiliate."""
    row = await fetch_one(
        session,
        "SELECT enrolment_id FROM enrolment WHERE offer_id = $1 AND affiliate_id = $2 FOR UPDATE",
        offer_id,
        affiliate_id,
    )
    return None if row is None else await find_enrolment(session, row.enrolment_id)


async def find_enrolment(session: Session, enrolment_id: int) -> Enrolment | None:
    """The enrolment, if the caller may see it."""
    row = await fetch_one(session, f"SELECT {_ENROLMENT} FROM enrolment e WHERE e.enrolment_id = $1", enrolment_id)
    return None if row is None else _enrolment(row)


async def store_enrolment(session: Session, enrolment: Enrolment) -> None:
    """Write the status, and the last interval if there is one. The caller holds the row lock."""
    await execute(
        session,
        "UPDATE enrolment SET status = $2, applied_at = $3, decided_at = $4 WHERE enrolment_id = $1",
        enrolment.enrolment_id,
        enrolment.status.value,
        enrolment.applied_at,
        enrolment.decided_at,
    )
    if enrolment.status in (EnrolmentStatus.APPROVED, EnrolmentStatus.ENDED):
        await _store_last_interval(session, enrolment)


async def _store_last_interval(session: Session, enrolment: Enrolment) -> None:
    last = enrolment.intervals[-1]
    await execute(
        session,
        "INSERT INTO enrolment_interval (enrolment_id, number, merchant_id, affiliate_id, start_at, end_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (enrolment_id, number) DO UPDATE SET end_at = excluded.end_at",
        enrolment.enrolment_id,
        len(enrolment.intervals),
        enrolment.merchant_id,
        enrolment.affiliate_id,
        last.start_at,
        last.end_at,
    )


async def list_enrolments(
    session: Session,
    *,
    offer_id: int | None,
    affiliate_id: int | None,
    status: str | None,
    after_id: int,
    limit: int,
) -> Sequence[Enrolment]:
    """Enrolments by number, those the caller may see."""
    statement = (
        f"SELECT {_ENROLMENT} FROM enrolment e WHERE e.enrolment_id > $1"
        " AND ($2::int IS NULL OR e.offer_id = $2) AND ($3::int IS NULL OR e.affiliate_id = $3)"
        " AND ($4::text IS NULL OR e.status = $4) ORDER BY e.enrolment_id LIMIT $5"
    )
    return [
        _enrolment(row) for row in await fetch_all(session, statement, after_id, offer_id, affiliate_id, status, limit)
    ]
