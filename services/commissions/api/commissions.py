"""`GET /v1/commissions`, one of them, and its trail."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request

from services.commissions.api.commission_answers import (
    CommissionAnswer,
    CommissionTrailAnswer,
    commission_answer,
    trail_answer,
)
from services.commissions.api.desk import Reader, desk_of
from services.commissions.storage.commission_reader import CommissionFilter, StoredCommission
from services.commissions.usecases.read_commissions import (
    CommissionNotFound,
    list_commissions,
    read_commission,
    read_trail,
)
from shared.runtime.http_app import QueryId, QueryInstant, StrictRoute
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    CursorValue,
    Page,
    PageCursor,
    PageLimit,
    cursor_instant,
    cursor_parsed,
    decode_cursor,
    page_of,
)
from shared.runtime.principal import own_or_asked
from shared.runtime.problem import Problem, not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["commissions"])
Status = Literal["accrued", "approved", "payable", "paid", "reversed", "over_cap", "held"]


@router.get("/commissions")
async def get_commissions(
    request: Request,
    caller: Reader,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
    status: Status | None = None,
    offer_id: QueryId | None = None,
    affiliate_id: QueryId | None = None,
    merchant_id: QueryId | None = None,
    from_at: Annotated[QueryInstant | None, Query(alias="from")] = None,
    to_at: Annotated[QueryInstant | None, Query(alias="to")] = None,
) -> Page[CommissionAnswer]:
    """Commissions, newest first. from, to: when the conversion was first credited, `to` excluded."""
    desk = desk_of(request)
    now = desk.clock.now()
    wanted = CommissionFilter(
        merchant_id=own_or_asked(caller.merchant_id, merchant_id),
        affiliate_id=own_or_asked(caller.affiliate_id, affiliate_id),
        offer_id=offer_id,
        status=status,
        from_at=from_at,
        to_at=to_at,
        before=_read_position(cursor),
    )
    async with desk.reading(caller) as session:
        rows = await list_commissions(session, wanted, now=now, limit=limit)
    shown, next_cursor = page_of(rows, limit, _position)
    return Page(items=[commission_answer(row, caller, now) for row in shown], next_cursor=next_cursor)


@router.get("/commissions/{commission_id}")
async def get_commission(request: Request, caller: Reader, commission_id: str) -> CommissionAnswer:
    """One commission. 404 for somebody else's."""
    desk = desk_of(request)
    async with desk.reading(caller) as session:
        try:
            found = await read_commission(
                session,
                _read_id(commission_id),
                merchant_id=caller.merchant_id,
                affiliate_id=caller.affiliate_id,
            )
        except CommissionNotFound:
            raise _unknown() from None
    return commission_answer(found, caller, desk.clock.now())


@router.get("/commissions/{commission_id}/trail")
async def get_trail(request: Request, caller: Reader, commission_id: str) -> CommissionTrailAnswer:
    """Why a commission is what it is. Every version that was applied, what priced it, and each ledger transaction."""
    desk = desk_of(request)
    async with desk.reading(caller) as session:
        try:
            trail = await read_trail(
                session,
                _read_id(commission_id),
                merchant_id=caller.merchant_id,
                affiliate_id=caller.affiliate_id,
            )
        except CommissionNotFound:
            raise _unknown() from None
    return trail_answer(trail, caller, desk.clock.now())


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:  # what is no id names nothing
        raise _unknown() from None


def _unknown() -> Problem:
    return not_found("commission_not_found", "There is no such commission.")


def _position(row: StoredCommission) -> dict[str, CursorValue]:
    return {"at": row.recorded_at.isoformat(), "id": str(row.commission_id)}


def _read_position(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    position = decode_cursor(cursor, keys=("at", "id"))
    return cursor_instant(position, "at"), cursor_parsed(position, "id", UUID)
