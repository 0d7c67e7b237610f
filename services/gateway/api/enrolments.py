"""`/v1/enrolments` and applications: affiliates apply; admin and the offer's merchant decide."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from services.gateway.api.callers import Admin, AdminOrMerchant, Affiliate, OfferReader, Wired
from services.gateway.api.idempotency import Done, perform_once
from services.gateway.api.parties import after_id
from services.gateway.domain.enrolments import Enrolment, EnrolmentStatus
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.storage.enrolment_store import find_enrolment, list_enrolments
from services.gateway.usecases.apply_for_offer import apply_for_offer
from services.gateway.usecases.audited import enrolment_act
from services.gateway.usecases.decide_enrolment import decide_enrolment
from services.gateway.usecases.enrol_affiliate import enrol_affiliate
from shared.kernel.changed import Changed
from shared.runtime.database import Session
from shared.runtime.http_app import PathId, QueryId, StrictModel, StrictRoute, WireId
from shared.runtime.pagination import LIMIT_DEFAULT, Page, PageCursor, PageLimit, page_of
from shared.runtime.principal import Principal

enrolments_router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["enrolments"])

EnrolmentStatusText = Literal["applied", "approved", "rejected", "ended"]


class EnrolmentBody(StrictModel):
    """Whom to enrol in what."""

    offer_id: WireId
    affiliate_id: WireId


class IntervalAnswer(BaseModel):
    """Half-open `[start_at, end_at)`; end_at null: still open."""

    start_at: datetime
    end_at: datetime | None


class EnrolmentAnswer(BaseModel):
    """An enrolment with every interval in which it was approved."""

    id: int
    offer_id: int
    affiliate_id: int
    merchant_id: int
    status: EnrolmentStatus
    applied_at: datetime
    decided_at: datetime | None
    intervals: list[IntervalAnswer]

    @classmethod
    def of(cls, enrolment: Enrolment) -> "EnrolmentAnswer":
        """`enrolment` as the API shows it."""
        return cls(
            id=enrolment.enrolment_id,
            offer_id=enrolment.offer_id,
            affiliate_id=enrolment.affiliate_id,
            merchant_id=enrolment.merchant_id,
            status=enrolment.status,
            applied_at=enrolment.applied_at,
            decided_at=enrolment.decided_at,
            intervals=[IntervalAnswer(start_at=i.start_at, end_at=i.end_at) for i in enrolment.intervals],
        )


@enrolments_router.post("/offers/{offer_id}/applications", status_code=201, response_model=EnrolmentAnswer)
async def post_application(offer_id: PathId, request: Request, caller: Affiliate, wired: Wired) -> Response:
    """Apply to promote an offer."""
    affiliate_id = caller.affiliate_id
    assert affiliate_id is not None

    async def effect(session: Session) -> Done:
        return _done(
            await apply_for_offer(session, offer_id=offer_id, affiliate_id=affiliate_id, now=wired.clock.now())
        )

    return await perform_once(request, caller, effect, status=201)


@enrolments_router.post("/enrolments", status_code=201, response_model=EnrolmentAnswer)
async def post_enrolment(body: EnrolmentBody, request: Request, caller: Admin, wired: Wired) -> Response:
    """Enrol an affiliate at once, without an application."""

    async def effect(session: Session) -> Done:
        return _done(
            await enrol_affiliate(
                session, offer_id=body.offer_id, affiliate_id=body.affiliate_id, now=wired.clock.now()
            )
        )

    return await perform_once(request, caller, effect, status=201)


@enrolments_router.get("/enrolments")
async def get_enrolments(
    caller: OfferReader,
    wired: Wired,
    offer_id: QueryId | None = None,
    affiliate_id: QueryId | None = None,
    status: EnrolmentStatusText | None = None,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
) -> Page[EnrolmentAnswer]:
    """Enrolments by number. All, those in the merchant's offers, or the affiliate's own."""
    async with wired.transaction_for(caller) as session:
        enrolments = await list_enrolments(
            session,
            offer_id=offer_id,
            affiliate_id=affiliate_id,
            status=status,
            after_id=after_id(cursor),
            limit=limit + 1,
        )
    shown, following = page_of(enrolments, limit, lambda enrolment: {"id": enrolment.enrolment_id})
    return Page(items=[EnrolmentAnswer.of(enrolment) for enrolment in shown], next_cursor=following)


@enrolments_router.get("/enrolments/{enrolment_id}")
async def get_enrolment(enrolment_id: PathId, caller: OfferReader, wired: Wired) -> EnrolmentAnswer:
    """One enrolment."""
    async with wired.transaction_for(caller) as session:
        enrolment = await find_enrolment(session, enrolment_id)
    if enrolment is None:
        raise NotInCatalogue("enrolment")
    return EnrolmentAnswer.of(enrolment)


@enrolments_router.post("/enrolments/{enrolment_id}/approve", response_model=EnrolmentAnswer)
async def approve_enrolment(enrolment_id: PathId, request: Request, caller: AdminOrMerchant, wired: Wired) -> Response:
    """Approve an enrolment. The affiliate's clicks count from now on."""
    return await _decide(enrolment_id, EnrolmentStatus.APPROVED, request, caller, wired)


@enrolments_router.post("/enrolments/{enrolment_id}/reject", response_model=EnrolmentAnswer)
async def reject_enrolment(enrolment_id: PathId, request: Request, caller: AdminOrMerchant, wired: Wired) -> Response:
    """Turn an application down."""
    return await _decide(enrolment_id, EnrolmentStatus.REJECTED, request, caller, wired)


@enrolments_router.post("/enrolments/{enrolment_id}/end", response_model=EnrolmentAnswer)
async def end_enrolment(enrolment_id: PathId, request: Request, caller: AdminOrMerchant, wired: Wired) -> Response:
    """End an enrolment. The affiliate's clicks no longer count; those before keep what they are due."""
    return await _decide(enrolment_id, EnrolmentStatus.ENDED, request, caller, wired)


async def _decide(
    enrolment_id: int, wanted: EnrolmentStatus, request: Request, caller: Principal, wired: Wired
) -> Response:
    async def effect(session: Session) -> Done:
        return _done(await decide_enrolment(session, enrolment_id=enrolment_id, wanted=wanted, now=wired.clock.now()))

    return await perform_once(request, caller, effect)


def _done(change: Changed[Enrolment]) -> Done:
    return Done(EnrolmentAnswer.of(change.after), enrolment_act(change))
