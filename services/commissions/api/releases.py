"""`POST /v1/commissions/{commission_id}/release` and `POST /v1/commissions/release`: finance lets pass what waits."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from services.commissions.api.commission_answers import CommissionAnswer, commission_answer
from services.commissions.api.desk import Desk, Staff, desk_of
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.domain.commission import CommissionStatus
from services.commissions.domain.release_reasons import parse_release_reason
from services.commissions.storage.release_store import WithheldFilter, find_withheld
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.read_commissions import CommissionNotFound, read_commission
from services.commissions.usecases.release_commissions import (
    NothingWithheld,
    StillHeld,
    release_act,
    release_commission,
    release_commissions,
)
from shared.runtime.database import Session
from shared.runtime.http_app import PlainText, QueryInstant, StrictModel, StrictRoute, WireId
from shared.runtime.principal import Principal
from shared.runtime.problem import conflict, not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["commissions"])

RELEASED_AT_ONCE_MAX: Final = 200
"""In one request, which holds their locks and seals one block; send it again while `more` is true."""


class ReleaseBody(StrictModel):
    """Why; the README lists the codes."""

    reason_code: Annotated[str, PlainText(32)]


class ReleasesBody(StrictModel):
    """Which withheld commissions of an offer, first recorded first. recorded_to is excluded."""

    status: Literal["over_cap", "held"]
    offer_id: WireId
    reason_code: Annotated[str, PlainText(32)]
    affiliate_id: WireId | None = None
    recorded_from: QueryInstant | None = None
    recorded_to: QueryInstant | None = None
    limit: Annotated[int, Field(ge=1, le=RELEASED_AT_ONCE_MAX)] = RELEASED_AT_ONCE_MAX


class ReleasesAnswer(BaseModel):
    """released, still_held: how many. over_cap: of the released ones, how many a cap refuses now. more: ask again."""

    released: int
    over_cap: int
    still_held: int
    more: bool


@router.post("/commissions/{commission_id}/release", response_model=CommissionAnswer)
async def release(request: Request, caller: Staff, commission_id: str, body: ReleaseBody) -> Response:
    """Release a commission that a cap refused, or that was held. It accrues at the price that was withheld.

    What the conversion has become meanwhile holds: once approved, it is payable when it would have been.
    """
    reason_code, desk = parse_release_reason(body.reason_code), desk_of(request)
    wanted = _read_id(commission_id)

    async def effect(session: Session) -> Done:
        now = desk.clock.now()
        try:
            done = await release_commission(
                session, wanted, actor=_actor(caller), reason_code=reason_code, now=now, **_inputs(desk)
            )
        except CommissionNotFound:
            raise not_found("commission_not_found", "There is no such commission.") from None
        except StillHeld:
            raise conflict("commission_still_held", "What the commission was held for is missing still.") from None
        except NothingWithheld:
            raise conflict("nothing_withheld", "Nothing of the commission is withheld.") from None
        found = await read_commission(session, wanted, merchant_id=None, affiliate_id=None)
        answer = commission_answer(found, caller, now).model_dump(mode="json")
        return Done(answer, release_act("commission", wanted, {wanted: done}))

    return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"))


@router.post("/commissions/release", response_model=ReleasesAnswer)
async def release_many(request: Request, caller: Staff, body: ReleasesBody) -> Response:
    """Release withheld commissions of an offer. First recorded first, up to `limit` of them in one posting."""
    reason_code, desk = parse_release_reason(body.reason_code), desk_of(request)
    wanted = WithheldFilter(body.status, body.offer_id, body.affiliate_id, body.recorded_from, body.recorded_to)

    async def effect(session: Session) -> Done:
        found = await find_withheld(session, wanted, limit=body.limit + 1)
        done = await release_commissions(
            session,
            dict(list(found.items())[: body.limit]),
            actor=_actor(caller),
            reason_code=reason_code,
            now=desk.clock.now(),
            **_inputs(desk),
        )
        over_cap = sum(each.after.status is CommissionStatus.OVER_CAP for each in done.released.values())
        answer = ReleasesAnswer(
            released=len(done.released) - over_cap,
            over_cap=over_cap,
            still_held=len(done.still_held),
            more=len(found) > body.limit,
        )
        return Done(answer.model_dump(), release_act("offer", body.offer_id, done.released))

    return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"))


def _inputs(desk: Desk) -> dict[str, Any]:
    return {"offer_versions": OfferVersions(), "rate_days_max": desk.rate_days_max}


def _actor(caller: Principal) -> str:
    return f"key:{caller.key_id}"


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:  # what is no id names nothing
        raise not_found("commission_not_found", "There is no such commission.") from None
