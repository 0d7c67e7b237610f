"""`/v1/merchants` and `/v1/affiliates`: admin only."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from services.gateway.api.callers import Admin, Wired
from services.gateway.api.idempotency import Done, perform_once
from services.gateway.domain.parties import Affiliate, Merchant, PartyStatus
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.storage.party_store import find_affiliate, find_merchant, list_affiliates, list_merchants
from services.gateway.usecases.audited import affiliate_act, merchant_act
from services.gateway.usecases.change_party_status import change_affiliate_status, change_merchant_status
from services.gateway.usecases.create_affiliate import create_affiliate
from services.gateway.usecases.create_merchant import create_merchant
from shared.runtime.database import Session
from shared.runtime.http_app import PathId, PlainText, StrictModel, StrictRoute
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    cursor_id,
    decode_cursor,
    page_of,
)

parties_router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["parties"])


class PartyBody(StrictModel):
    """A party as taken in."""

    name: Annotated[str, PlainText(120)]


class PartyAnswer(BaseModel):
    """A merchant or an affiliate."""

    id: int
    name: str
    status: str
    created_at: datetime

    @classmethod
    def of(cls, party: Merchant | Affiliate) -> "PartyAnswer":
        """`party` as the API shows it."""
        number = party.merchant_id if isinstance(party, Merchant) else party.affiliate_id
        return cls(id=number, name=party.name, status=party.status, created_at=party.created_at)


def after_id(cursor: str | None) -> int:
    """The last id of the page before, 0 at the beginning. Raises Problem 422."""
    return 0 if cursor is None else cursor_id(decode_cursor(cursor, keys=["id"]), "id")


@parties_router.post("/merchants", status_code=201, response_model=PartyAnswer)
async def post_merchant(body: PartyBody, request: Request, caller: Admin, wired: Wired) -> Response:
    """Take a merchant into the network."""

    async def effect(session: Session) -> Done:
        merchant = await create_merchant(session, name=body.name, now=wired.clock.now())
        return Done(PartyAnswer.of(merchant), merchant_act(None, merchant))

    return await perform_once(request, caller, effect, status=201)


@parties_router.get("/merchants")
async def get_merchants(
    caller: Admin, wired: Wired, limit: PageLimit = LIMIT_DEFAULT, cursor: PageCursor = None
) -> Page[PartyAnswer]:
    """Every merchant, by number."""
    async with wired.transaction_for(caller) as session:
        merchants = await list_merchants(session, after_id=after_id(cursor), limit=limit + 1)
    shown, following = page_of(merchants, limit, lambda merchant: {"id": merchant.merchant_id})
    return Page(items=[PartyAnswer.of(merchant) for merchant in shown], next_cursor=following)


@parties_router.get("/merchants/{merchant_id}")
async def get_merchant(merchant_id: PathId, caller: Admin, wired: Wired) -> PartyAnswer:
    """One merchant."""
    async with wired.transaction_for(caller) as session:
        merchant = await find_merchant(session, merchant_id)
    if merchant is None:
        raise NotInCatalogue("merchant")
    return PartyAnswer.of(merchant)


@parties_router.post("/affiliates", status_code=201, response_model=PartyAnswer)
async def post_affiliate(body: PartyBody, request: Request, caller: Admin, wired: Wired) -> Response:
    """Take an affiliate into the network."""

    async def effect(session: Session) -> Done:
        affiliate = await create_affiliate(session, name=body.name, now=wired.clock.now())
        return Done(PartyAnswer.of(affiliate), affiliate_act(None, affiliate))

    return await perform_once(request, caller, effect, status=201)


@parties_router.get("/affiliates")
async def get_affiliates(
    caller: Admin, wired: Wired, limit: PageLimit = LIMIT_DEFAULT, cursor: PageCursor = None
) -> Page[PartyAnswer]:
    """Every affiliate, by number."""
    async with wired.transaction_for(caller) as session:
        affiliates = await list_affiliates(session, after_id=after_id(cursor), limit=limit + 1)
    shown, following = page_of(affiliates, limit, lambda affiliate: {"id": affiliate.affiliate_id})
    return Page(items=[PartyAnswer.of(affiliate) for affiliate in shown], next_cursor=following)


@parties_router.get("/affiliates/{affiliate_id}")
async def get_affiliate(affiliate_id: PathId, caller: Admin, wired: Wired) -> PartyAnswer:
    """One affiliate."""
    async with wired.transaction_for(caller) as session:
        affiliate = await find_affiliate(session, affiliate_id)
    if affiliate is None:
        raise NotInCatalogue("affiliate")
    return PartyAnswer.of(affiliate)


@parties_router.post("/merchants/{merchant_id}/suspend", response_model=PartyAnswer)
async def suspend_merchant(merchant_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Suspend a merchant. Its keys open nothing, new clicks on its offers do not count; those before still do."""
    return await _become_merchant(request, caller, wired, merchant_id, "suspended")


@parties_router.post("/merchants/{merchant_id}/reinstate", response_model=PartyAnswer)
async def reinstate_merchant(merchant_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Reinstate a merchant. Active again, with the keys it had."""
    return await _become_merchant(request, caller, wired, merchant_id, "active")


@parties_router.post("/affiliates/{affiliate_id}/suspend", response_model=PartyAnswer)
async def suspend_affiliate(affiliate_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Suspend an affiliate. Its keys open nothing, its new clicks do not count; what was clicked before still does."""
    return await _become_affiliate(request, caller, wired, affiliate_id, "suspended")


@parties_router.post("/affiliates/{affiliate_id}/reinstate", response_model=PartyAnswer)
async def reinstate_affiliate(affiliate_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Reinstate an affiliate. Active again, with the keys it had."""
    return await _become_affiliate(request, caller, wired, affiliate_id, "active")


async def _become_merchant(
    request: Request, caller: Admin, wired: Wired, merchant_id: int, wanted: PartyStatus
) -> Response:
    async def effect(session: Session) -> Done:
        now = wired.clock.now()
        change = await change_merchant_status(session, merchant_id=merchant_id, wanted=wanted, now=now)
        return Done(PartyAnswer.of(change.after), merchant_act(change.before, change.after))

    try:
        return await perform_once(request, caller, effect)
    finally:
        wired.key_desk.forget_party(merchant_id=merchant_id)


async def _become_affiliate(
    request: Request, caller: Admin, wired: Wired, affiliate_id: int, wanted: PartyStatus
) -> Response:
    async def effect(session: Session) -> Done:
        now = wired.clock.now()
        change = await change_affiliate_status(session, affiliate_id=affiliate_id, wanted=wanted, now=now)
        return Done(PartyAnswer.of(change.after), affiliate_act(change.before, change.after))

    try:
        return await perform_once(request, caller, effect)
    finally:
        wired.key_desk.forget_party(affiliate_id=affiliate_id)
