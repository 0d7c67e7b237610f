"""`/v1/merchants` and `/v1/affiliates`: admin only."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from services.gateway.api.callers import Admin, Wired
from services.gateway.api.idempotency import Done, perform_once
from services.gateway.domain.affiliate_groups import check_group_name
from services.gateway.domain.parties import Affiliate, Merchant, PartyStatus
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.storage.party_store import find_affiliate, find_merchant, list_affiliates, list_merchants
from services.gateway.usecases.audited import affiliate_act, merchant_act
from services.gateway.usecases.change_affiliate_groups import change_affiliate_groups
from services.gateway.usecases.change_party_status import change_affiliate_status, change_merchant_status
from services.gateway.usecases.create_affiliate import create_affiliate
from services.gateway.usecases.create_merchant import create_merchant
from shared.runtime.database import Session
from shared.runtime.http_app import PathId, PlainText, StrictModel, StrictRoute, WireId
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


class AffiliateBody(PartyBody):
    """An affiliate as taken in. referred_by: the affiliate that brought it, for good."""

    referred_by: WireId | None = None


class PartyAnswer(BaseModel):
    """A merchant."""

    id: int
    name: str
    status: str
    created_at: datetime

    @classmethod
    def of(cls, merchant: Merchant) -> "PartyAnswer":
        """`merchant` as the API shows it."""
        return cls(id=merchant.merchant_id, name=merchant.name, status=merchant.status, created_at=merchant.created_at)


class MembershipAnswer(BaseModel):
    """From start_at on, before end_at; null: still a member."""

    start_at: datetime
    end_at: datetime | None


class GroupAnswer(BaseModel):
    """A group, and every time that the affiliate was in it."""

    name: str
    intervals: list[MembershipAnswer]


class AffiliateAnswer(BaseModel):
    """An affiliate, who brought it, and its groups: also those that it left."""

    id: int
    name: str
    status: str
    created_at: datetime
    referred_by: int | None
    groups: list[GroupAnswer]

    @classmethod
    def of(cls, affiliate: Affiliate) -> "AffiliateAnswer":
        """`affiliate` as the API shows it."""
        groups = [
            GroupAnswer(
                name=group.name,
                intervals=[MembershipAnswer(start_at=i.start_at, end_at=i.end_at) for i in group.intervals],
            )
            for group in affiliate.groups
        ]
        return cls(
            id=affiliate.affiliate_id,
            name=affiliate.name,
            status=affiliate.status,
            created_at=affiliate.created_at,
            referred_by=affiliate.referred_by,
            groups=groups,
        )


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


@parties_router.post("/affiliates", status_code=201, response_model=AffiliateAnswer)
async def post_affiliate(body: AffiliateBody, request: Request, caller: Admin, wired: Wired) -> Response:
    """Take an affiliate into the network."""

    async def effect(session: Session) -> Done:
        affiliate = await create_affiliate(session, name=body.name, referred_by=body.referred_by, now=wired.clock.now())
        return Done(AffiliateAnswer.of(affiliate), affiliate_act(None, affiliate))

    return await perform_once(request, caller, effect, status=201)


@parties_router.get("/affiliates")
async def get_affiliates(
    caller: Admin, wired: Wired, limit: PageLimit = LIMIT_DEFAULT, cursor: PageCursor = None
) -> Page[AffiliateAnswer]:
    """Every affiliate, by number."""
    async with wired.transaction_for(caller) as session:
        affiliates = await list_affiliates(session, after_id=after_id(cursor), limit=limit + 1)
    shown, following = page_of(affiliates, limit, lambda affiliate: {"id": affiliate.affiliate_id})
    return Page(items=[AffiliateAnswer.of(affiliate) for affiliate in shown], next_cursor=following)


@parties_router.get("/affiliates/{affiliate_id}")
async def get_affiliate(affiliate_id: PathId, caller: Admin, wired: Wired) -> AffiliateAnswer:
    """One affiliate, with its groups and who brought it."""
    async with wired.transaction_for(caller) as session:
        affiliate = await find_affiliate(session, affiliate_id)
    if affiliate is None:
        raise NotInCatalogue("affiliate")
    return AffiliateAnswer.of(affiliate)


@parties_router.post("/merchants/{merchant_id}/suspend", response_model=PartyAnswer)
async def suspend_merchant(merchant_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Suspend a merchant. Its keys open nothing, new clicks on its offers do not count; those before still do."""
    return await _become_merchant(request, caller, wired, merchant_id, "suspended")


@parties_router.post("/merchants/{merchant_id}/reinstate", response_model=PartyAnswer)
async def reinstate_merchant(merchant_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Reinstate a merchant. Active again, with the keys it had."""
    return await _become_merchant(request, caller, wired, merchant_id, "active")


@parties_router.post("/affiliates/{affiliate_id}/suspend", response_model=AffiliateAnswer)
async def suspend_affiliate(affiliate_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Suspend an affiliate. Its keys open nothing, its new clicks do not count; what was clicked before still does."""
    return await _become_affiliate(request, caller, wired, affiliate_id, "suspended")


@parties_router.post("/affiliates/{affiliate_id}/reinstate", response_model=AffiliateAnswer)
async def reinstate_affiliate(affiliate_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Reinstate an affiliate. Active again, with the keys it had."""
    return await _become_affiliate(request, caller, wired, affiliate_id, "active")


@parties_router.put("/affiliates/{affiliate_id}/groups/{group}", response_model=AffiliateAnswer)
async def put_affiliate_group(
    affiliate_id: PathId, group: str, request: Request, caller: Admin, wired: Wired
) -> Response:
    """Put an affiliate in a group. From now on; a member stays one. Overrides of offers name groups."""
    return await _change_group(request, caller, wired, affiliate_id, group, is_member=True)


@parties_router.delete("/affiliates/{affiliate_id}/groups/{group}", response_model=AffiliateAnswer)
async def delete_affiliate_group(
    affiliate_id: PathId, group: str, request: Request, caller: Admin, wired: Wired
) -> Response:
    """Take an affiliate out of a group. From now on; clicks of before keep the group's override."""
    return await _change_group(request, caller, wired, affiliate_id, group, is_member=False)


async def _change_group(
    request: Request, caller: Admin, wired: Wired, affiliate_id: int, group: str, *, is_member: bool
) -> Response:
    name = check_group_name(group)

    async def effect(session: Session) -> Done:
        now = wired.clock.now()
        change = await change_affiliate_groups(
            session, affiliate_id=affiliate_id, group=name, is_member=is_member, now=now
        )
        return Done(AffiliateAnswer.of(change.after), affiliate_act(change.before, change.after))

    return await perform_once(request, caller, effect)


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
        return Done(AffiliateAnswer.of(change.after), affiliate_act(change.before, change.after))

    try:
        return await perform_once(request, caller, effect)
    finally:
        wired.key_desk.forget_party(affiliate_id=affiliate_id)
