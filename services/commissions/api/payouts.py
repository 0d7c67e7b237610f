"""`GET /v1/payouts`: what was paid to an affiliate, and what became of it."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from services.commissions.api.desk import desk_of
from services.commissions.api.payout_run_answers import PayoutAnswer, payout_document
from services.commissions.storage.payout_reader import list_payouts
from services.commissions.usecases.statement_forms.plain import instant_text
from shared.runtime.http_app import QueryId, StrictRoute
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    cursor_instant,
    cursor_parsed,
    decode_cursor,
    page_document,
    page_of,
)
from shared.runtime.principal import Principal, own_or_asked, require_role

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["payouts"])
Payee = Annotated[Principal, Depends(require_role("affiliate", "admin", "finance"))]


@router.get("/payouts", response_model=Page[PayoutAnswer])
async def get_payouts(
    request: Request,
    caller: Payee,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
    affiliate_id: QueryId | None = None,
) -> dict[str, Any]:
    """Payouts, newest first. An affiliate's own; staff may name an affiliate. Debts that come back are owed again."""
    position = None if cursor is None else decode_cursor(cursor, keys=("at", "id"))
    before = None if position is None else (cursor_instant(position, "at"), cursor_parsed(position, "id", UUID))
    payee = own_or_asked(caller.affiliate_id, affiliate_id)
    async with desk_of(request).reading(caller) as session:
        rows = await list_payouts(session, affiliate_id=payee, before=before, limit=limit + 1)
    shown, next_cursor = page_of(rows, limit, lambda row: {"at": instant_text(row.exported_at), "id": str(row.line_id)})
    return page_document([payout_document(row) for row in shown], next_cursor)
