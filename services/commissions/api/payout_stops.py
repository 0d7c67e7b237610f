"""`/v1/payout-stops`: affiliates whose payouts finance has stopped, and letting them go on."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from services.commissions.api.desk import Staff, desk_of
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.domain.payout_reasons import parse_stop_reason
from services.commissions.storage.payout_settings_store import PayoutStop, find_stops
from services.commissions.usecases.audited import payout_stop_act
from services.commissions.usecases.change_payout_settings import AffiliateUnknown
from services.commissions.usecases.stop_payouts import NotStopped, lift_payout_stop, stop_payouts
from shared.runtime.database import Session
from shared.runtime.http_app import PathId, PlainText, StrictModel, StrictRoute, WireId
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    cursor_id,
    decode_cursor,
    page_document,
    page_of,
)
from shared.runtime.problem import not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["payouts"])


class PayoutStopBody(StrictModel):
    """Whose payouts are stopped, and why; the README lists the codes."""

    affiliate_id: WireId
    reason_code: Annotated[str, PlainText(32)]


class PayoutStopAnswer(BaseModel):
    """A stop. is_stopped: false once it is lifted."""

    affiliate_id: int
    is_stopped: bool
    reason_code: str | None
    stopped_at: datetime | None


@router.get("/payout-stops", response_model=Page[PayoutStopAnswer])
async def get_payout_stops(
    request: Request, caller: Staff, limit: PageLimit = LIMIT_DEFAULT, cursor: PageCursor = None
) -> dict[str, Any]:
    """Every affiliate whose payouts are stopped, by id."""
    after = 0 if cursor is None else cursor_id(decode_cursor(cursor, keys=("id",)), "id")
    async with desk_of(request).reading(caller) as session:
        stops = await find_stops(session, after_id=after, limit=limit + 1)
    shown, next_cursor = page_of(stops, limit, lambda stop: {"id": stop.affiliate_id})
    return page_document([_document(stop.affiliate_id, stop) for stop in shown], next_cursor)


@router.post("/payout-stops", response_model=PayoutStopAnswer)
async def create_payout_stop(request: Request, caller: Staff, body: PayoutStopBody) -> Response:
    """Stop an affiliate's payouts: it is in no run until the stop is lifted. What is in an open run is left out of it.

    A stop that is there already stays as it is, with its own reason.
    """
    reason_code = parse_stop_reason(body.reason_code)
    desk = desk_of(request)

    async def stop(session: Session) -> Done:
        try:
            before, after = await stop_payouts(session, body.affiliate_id, reason_code, now=desk.clock.now())
        except AffiliateUnknown:
            raise not_found("affiliate_not_found", "There is no such affiliate.") from None
        return Done(_json(body.affiliate_id, after), payout_stop_act(body.affiliate_id, before, after))

    return await perform_once(request, caller, stop, asked=body.model_dump(mode="json"))


@router.post("/payout-stops/{affiliate_id}/lift", response_model=PayoutStopAnswer)
async def lift_stop(request: Request, caller: Staff, affiliate_id: PathId) -> Response:
    """Lift a stop: the next run may pay the affiliate again."""

    async def lift(session: Session) -> Done:
        try:
            before = await lift_payout_stop(session, affiliate_id)
        except NotStopped:
            raise not_found("payout_stop_not_found", "The affiliate's payouts are not stopped.") from None
        return Done(_json(affiliate_id, None), payout_stop_act(affiliate_id, before, None))

    return await perform_once(request, caller, lift, asked=None)


def _document(affiliate_id: int, stop: PayoutStop | None) -> dict[str, Any]:
    return {
        "affiliate_id": affiliate_id,
        "is_stopped": stop is not None,
        "reason_code": None if stop is None else stop.reason_code,
        "stopped_at": None if stop is None else stop.stopped_at,
    }


def _json(affiliate_id: int, stop: PayoutStop | None) -> Any:
    return PayoutStopAnswer.model_validate(_document(affiliate_id, stop)).model_dump(mode="json")
