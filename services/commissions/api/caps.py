"""`GET /v1/offers/{offer_id}/caps`: how far each cap of an offer is used, for its merchant, admin and finance."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from services.commissions.api.desk import desk_of
from services.commissions.storage.cap_store import CapFilter
from services.commissions.usecases.read_caps import CapUse, OfferNotFound, find_offer_caps, list_cap_uses
from shared.kernel.money import Money
from shared.runtime.http_app import MoneyAnswer, PathId, PlainText, QueryId, StrictRoute
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    PageCursor,
    PageLimit,
    cursor_text,
    decode_cursor,
    page_of,
)
from shared.runtime.principal import Principal, require_role
from shared.runtime.problem import not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["offers"])
CapReader = Annotated[Principal, Depends(require_role("merchant", "admin", "finance"))]
Period = Annotated[str | None, Query(pattern=r"^(total|[0-9]{4}-[0-9]{2}(-[0-9]{2})?)$")]


class CapAmountAnswer(BaseModel):
    """Exactly one is set: money of charges, or a number of conversions."""

    amount: MoneyAnswer | None = None
    count: int | None = None


class CapUseAnswer(BaseModel):
    """One cap in one period. period: a UTC day, a UTC month, or `total`. affiliate_id: null for the whole offer's.

    limit, remaining: by the current offer version, null where it has no such cap; remaining is never below zero, also
    after the limit was lowered. reserved: granted, and standing. released: let through by finance, beside the cap.
    """

    name: str
    scope: Literal["offer", "affiliate"]
    affiliate_id: int | None
    period: str
    event: str | None
    limit: CapAmountAnswer | None
    reserved: CapAmountAnswer
    remaining: CapAmountAnswer | None
    released: CapAmountAnswer


class CapUsesAnswer(BaseModel):
    """A page of usages. offer_version: whose limits are shown; conversions of older versions keep their own."""

    offer_id: int
    offer_version: int
    items: list[CapUseAnswer]
    next_cursor: str | None


@router.get("/offers/{offer_id}/caps")
async def get_caps(
    request: Request,
    caller: CapReader,
    offer_id: PathId,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
    affiliate_id: QueryId | None = None,
    cap: Annotated[str | None, PlainText(64)] = None,
    period: Period = None,
) -> CapUsesAnswer:
    """How far an offer's caps are used. A merchant reads its own offers' only.

    Where one page shows everything and nothing is filtered, caps of the whole offer are there before their first use.
    """
    after = "" if cursor is None else cursor_text(decode_cursor(cursor, keys=("key",)), "key")
    wanted = CapFilter(offer_id, affiliate_id, cap, period, after)
    desk = desk_of(request)
    async with desk.reading(caller) as session:
        try:
            offer = await find_offer_caps(session, offer_id, merchant_id=caller.merchant_id)
        except OfferNotFound:
            raise not_found("offer_not_found", "There is no such offer.") from None
        uses = await list_cap_uses(session, wanted, offer, now=desk.clock.now(), limit=limit + 1)
    shown, next_cursor = page_of(uses, limit, lambda use: {"key": str(use.key)})
    return CapUsesAnswer(
        offer_id=offer_id,
        offer_version=offer.offer_version,
        items=[_use(each) for each in shown],
        next_cursor=next_cursor,
    )


def _use(use: CapUse) -> CapUseAnswer:
    limit = None if use.cap is None else use.cap.limit_number
    return CapUseAnswer(
        name=use.key.name,
        scope="offer" if use.key.affiliate_id is None else "affiliate",
        affiliate_id=use.key.affiliate_id,
        period=use.key.period,
        event=None if use.cap is None else use.cap.event,
        limit=None if limit is None else _amount(use, limit),
        reserved=_amount(use, use.usage.reserved),
        remaining=None if limit is None else _amount(use, max(0, limit - use.usage.reserved)),
        released=_amount(use, use.usage.released),
    )


def _amount(use: CapUse, number: int) -> CapAmountAnswer:
    if use.key.currency is None:
        return CapAmountAnswer(count=number)
    return CapAmountAnswer(amount=MoneyAnswer.of(Money(number, use.key.currency)))
