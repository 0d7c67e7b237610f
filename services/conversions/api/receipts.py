"""`/v1/receipts`: every postback in the merchant's name and what became of it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from services.conversions.api.conversion_answers import ReceiptAnswer, receipt_answer, rejected_answer
from services.conversions.api.conversions import database_for, read_id, read_position
from services.conversions.api.desk import desk_of
from services.conversions.storage.conversion_queries import (
    ReceiptFilter,
    find_receipt,
    list_receipts,
    list_unauthenticated,
)
from shared.runtime.http_app import PlainText, QueryId, QueryInstant, StrictRoute
from shared.runtime.pagination import LIMIT_DEFAULT, Page, PageCursor, PageLimit, page_of
from shared.runtime.principal import Principal, own_or_asked, require_role, tenant_of
from shared.runtime.problem import not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["receipts"])
Reader = Annotated[Principal, Depends(require_role("merchant", "admin"))]


@router.get("/receipts")
async def get_receipts(
    request: Request,
    caller: Reader,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
    authenticated: bool = True,
    merchant_id: QueryId | None = None,
    order_id: Annotated[str | None, PlainText(64)] = None,
    outcome: QueryId | None = None,
    from_at: Annotated[QueryInstant | None, Query(alias="from")] = None,
    to_at: Annotated[QueryInstant | None, Query(alias="to")] = None,
) -> Page[ReceiptAnswer]:
    """Receipts, newest first. authenticated=false: the last hundred that could not prove to be the merchant's."""
    own, before = own_or_asked(caller.merchant_id, merchant_id), read_position(cursor)
    wanted = ReceiptFilter(own, desk_of(request).spellings(order_id), outcome, from_at, to_at, before)
    async with database_for(desk_of(request), caller).transaction(tenant=tenant_of(caller)) as session:
        if authenticated:
            rows = await list_receipts(session, wanted, limit)
        else:
            rows = await list_unauthenticated(session, merchant_id=own, before=before, limit=limit)
    shown, next_cursor = page_of(rows, limit, lambda row: {"id": str(row["id"])})
    show = receipt_answer if authenticated else rejected_answer
    return Page(items=[show(row) for row in shown], next_cursor=next_cursor)


@router.get("/receipts/{receipt_id}")
async def get_receipt(request: Request, caller: Reader, receipt_id: str) -> ReceiptAnswer:
    """One receipt. 404 for somebody else's."""
    wanted = read_id(receipt_id)
    async with database_for(desk_of(request), caller).transaction(tenant=tenant_of(caller)) as session:
        row = None if wanted is None else await find_receipt(session, wanted)
    if row is None:
        raise not_found("receipt_not_found", "There is no such receipt.")
    return receipt_answer(row)
