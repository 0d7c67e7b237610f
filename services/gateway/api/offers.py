"""`/v1/offers`: admin writes; merchants read their own, affiliates what is advertised to them, without margins."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BeforeValidator, Field

from services.gateway.api.callers import Admin, AdminOrMerchant, OfferReader, Wired
from services.gateway.api.idempotency import Done, perform_once
from services.gateway.api.offer_models import OfferAnswer, OfferBody, OfferVersionAnswer, VersionBody
from services.gateway.api.parties import after_id
from services.gateway.domain.offer_rules import check_fallback_url, read_version
from services.gateway.domain.offers import Offer, OfferStatus, OfferVersion
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.domain.term_sight import AffiliateSight
from services.gateway.storage.offer_store import (
    find_current_versions,
    find_offer,
    find_version,
    list_offers,
    list_versions,
)
from services.gateway.storage.party_store import find_affiliate
from services.gateway.usecases.audited import offer_act
from services.gateway.usecases.change_offer_status import change_offer_status
from services.gateway.usecases.create_offer import create_offer
from services.gateway.usecases.publish_offer_version import publish_offer_version
from shared.kernel.ids import OFFER_VERSION_MAX
from shared.runtime.database import Session
from shared.runtime.http_app import PathId, QueryId, StrictRoute
from shared.runtime.pagination import LIMIT_DEFAULT, Page, PageCursor, PageLimit, page_of
from shared.runtime.principal import Principal
from shared.runtime.wire_model import plain_number

offers_router = APIRouter(prefix="/v1/offers", route_class=StrictRoute, tags=["offers"])

OfferStatusText = Literal["active", "paused", "ended"]
VersionNumber = Annotated[int, Field(ge=1, le=OFFER_VERSION_MAX), BeforeValidator(plain_number)]


@offers_router.post("", status_code=201, response_model=OfferAnswer)
async def post_offer(body: OfferBody, request: Request, caller: Admin, wired: Wired) -> Response:
    """Open an offer with its first version."""
    content = read_version(body.draft(), allow_loopback_http=wired.allow_loopback_http)
    fallback_url = check_fallback_url(body.fallback_url, allow_loopback_http=wired.allow_loopback_http)

    async def effect(session: Session) -> Done:
        offer, version = await create_offer(
            session,
            merchant_id=body.merchant_id,
            name=body.name,
            fallback_url=fallback_url,
            content=content,
            now=wired.clock.now(),
        )
        return Done(OfferAnswer.of(offer, version), offer_act(None, (offer, version)))

    return await perform_once(request, caller, effect, status=201)


@offers_router.get("")
async def get_offers(
    caller: OfferReader,
    wired: Wired,
    merchant_id: QueryId | None = None,
    status: OfferStatusText | None = None,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
) -> Page[OfferAnswer]:
    """Offers by number, each with its current version. Affiliates see what is active, without margins."""
    async with wired.transaction_for(caller) as session:
        offers = await list_offers(
            session, merchant_id=merchant_id, status=status, after_id=after_id(cursor), limit=limit + 1
        )
        shown, following = page_of(offers, limit, lambda offer: {"id": offer.offer_id})
        versions = await find_current_versions(session, shown)
        seen_by = await _sight_of(session, caller)
    # An offer paused between the two statements is no longer an affiliate's to see.
    pairs = [(offer, versions[offer.offer_id]) for offer in shown if offer.offer_id in versions]
    items = [OfferAnswer.of(offer, version, seen_by=seen_by) for offer, version in pairs]
    return Page(items=items, next_cursor=following)


@offers_router.get("/{offer_id}")
async def get_offer(offer_id: PathId, caller: OfferReader, wired: Wired) -> OfferAnswer:
    """One offer with its current version."""
    async with wired.transaction_for(caller) as session:
        offer = await find_offer(session, offer_id)
        if offer is None:
            raise NotInCatalogue("offer")
        version = await _current_version(session, offer)
        return OfferAnswer.of(offer, version, seen_by=await _sight_of(session, caller))


@offers_router.post("/{offer_id}/versions", status_code=201, response_model=OfferAnswer)
async def post_version(offer_id: PathId, body: VersionBody, request: Request, caller: Admin, wired: Wired) -> Response:
    """Publish an offer's next version. Clicks from now on carry it; those before keep theirs."""
    content = read_version(body.draft(), allow_loopback_http=wired.allow_loopback_http)
    amend = _amendment(body, allow_loopback_http=wired.allow_loopback_http)

    async def effect(session: Session) -> Done:
        change = await publish_offer_version(
            session,
            offer_id=offer_id,
            merchant_id=body.merchant_id,
            content=content,
            amend=amend,
            now=wired.clock.now(),
        )
        return Done(OfferAnswer.of(*change.after), offer_act(change.before, change.after))

    return await perform_once(request, caller, effect, status=201)


@offers_router.get("/{offer_id}/versions")
async def get_versions(
    offer_id: PathId,
    caller: AdminOrMerchant,
    wired: Wired,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
) -> Page[OfferVersionAnswer]:
    """An offer's versions, oldest first."""
    async with wired.transaction_for(caller) as session:
        if await find_offer(session, offer_id) is None:
            raise NotInCatalogue("offer")
        versions = await list_versions(session, offer_id=offer_id, after_version=after_id(cursor), limit=limit + 1)
    shown, following = page_of(versions, limit, lambda version: {"id": version.version})
    return Page(items=[OfferVersionAnswer.of(version) for version in shown], next_cursor=following)


@offers_router.get("/{offer_id}/versions/{version}")
async def get_version(
    offer_id: PathId, version: VersionNumber, caller: OfferReader, wired: Wired
) -> OfferVersionAnswer:
    """One version of an offer. The terms by which clicks of its time are paid; an affiliate sees its own side."""
    async with wired.transaction_for(caller) as session:
        found = await find_version(session, offer_id=offer_id, version=version)
        if found is None:
            raise NotInCatalogue("offer_version")
        return OfferVersionAnswer.of(found, seen_by=await _sight_of(session, caller))


@offers_router.post("/{offer_id}/pause", response_model=OfferAnswer)
async def pause_offer(offer_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Pause an offer. Clicks still arrive and are flagged; nothing new is earned. A paused one stays as it is."""
    return await _change_status(offer_id, OfferStatus.PAUSED, request, caller, wired)


@offers_router.post("/{offer_id}/resume", response_model=OfferAnswer)
async def resume_offer(offer_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Resume an offer. Clicks count again."""
    return await _change_status(offer_id, OfferStatus.ACTIVE, request, caller, wired)


@offers_router.post("/{offer_id}/end", response_model=OfferAnswer)
async def end_offer(offer_id: PathId, request: Request, caller: Admin, wired: Wired) -> Response:
    """End an offer. Like a pause, for ever."""
    return await _change_status(offer_id, OfferStatus.ENDED, request, caller, wired)


async def _change_status(
    offer_id: int, wanted: OfferStatus, request: Request, caller: Principal, wired: Wired
) -> Response:
    async def effect(session: Session) -> Done:
        change = await change_offer_status(session, offer_id=offer_id, wanted=wanted, now=wired.clock.now())
        version = await _current_version(session, change.after)
        assert change.before is not None
        act = offer_act((change.before, version), (change.after, version))
        return Done(OfferAnswer.of(change.after, version), act)

    return await perform_once(request, caller, effect)


async def _sight_of(session: Session, caller: Principal) -> AffiliateSight | None:
    """How an affiliate sees terms; None for everybody else. In the caller's own transaction."""
    if caller.affiliate_id is None:
        return None
    affiliate = await find_affiliate(session, caller.affiliate_id)
    groups = frozenset[str]() if affiliate is None else frozenset(group.name for group in affiliate.groups)
    return AffiliateSight(caller.affiliate_id, groups)


async def _current_version(session: Session, offer: Offer) -> OfferVersion:
    version = (await find_current_versions(session, [offer])).get(offer.offer_id)
    if version is None:
        raise NotInCatalogue("offer")
    return version


def _amendment(body: VersionBody, *, allow_loopback_http: bool) -> Callable[[Offer], Offer]:
    """What a version's body changes of the offer itself: only what it names."""
    fallback_url = check_fallback_url(body.fallback_url, allow_loopback_http=allow_loopback_http)

    def amend(offer: Offer) -> Offer:
        return replace(
            offer,
            name=offer.name if body.name is None else body.name,
            fallback_url=fallback_url if "fallback_url" in body.model_fields_set else offer.fallback_url,
        )

    return amend
