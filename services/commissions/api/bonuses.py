"""`POST /v1/bonuses`: what an affiliate gets beside its commissions, with the reason that its statement shows."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from services.commissions.api.desk import Staff, desk_of
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.usecases.audited_payments import bonus_act
from services.commissions.usecases.change_payout_settings import AffiliateUnknown
from services.commissions.usecases.grant_bonus import BonusGrant, grant_bonus
from services.commissions.usecases.record_payment import MerchantUnknown
from shared.kernel.money import parse_money
from shared.runtime.database import Session
from shared.runtime.http_app import MoneyAnswer, MoneyModel, StrictModel, StrictRoute, WireId
from shared.runtime.problem import field_invalid, not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["commissions"])
ReasonCode = Annotated[str, Field(pattern="^[a-z0-9_]{1,64}$")]


class BonusBody(StrictModel):
    """merchant_id: who is charged; left out, the network pays. hold_days: until it is payable, 0 to 180."""

    affiliate_id: WireId
    amount: MoneyModel
    reason_code: ReasonCode
    merchant_id: WireId | None = None
    offer_id: WireId | None = None
    hold_days: Annotated[int, Field(ge=0, le=180)] = 0


class BonusAnswer(BaseModel):
    """A bonus as it was posted. act_id: the finance act. block_number: of the block that seals it."""

    act_id: UUID
    affiliate_id: int
    merchant_id: int | None
    offer_id: int | None
    amount: MoneyAnswer
    reason_code: str
    payable_at: datetime
    block_number: int


@router.post("/bonuses", status_code=201, response_model=BonusAnswer)
async def post_bonus(request: Request, caller: Staff, body: BonusBody) -> Response:
    """Grant a bonus, such as one for a goal that was reached. It is payable without validation."""
    desk = desk_of(request)
    amount = parse_money(body.amount.amount, body.amount.currency, field="amount.amount")
    if amount.amount_minor == 0:
        raise field_invalid("amount.amount", "amount_zero", "must be above zero")
    grant = BonusGrant(
        affiliate_id=body.affiliate_id,
        amount=amount,
        merchant_id=body.merchant_id,
        offer_id=body.offer_id,
        hold_days=body.hold_days,
        reason_code=body.reason_code,
        actor=f"key:{caller.key_id}",
    )

    async def effect(session: Session) -> Done:
        try:
            act, block = await grant_bonus(session, grant, now=desk.clock.now())
        except AffiliateUnknown as unknown:
            raise not_found(unknown.code, "There is no such affiliate.") from None
        except MerchantUnknown as unknown:
            raise not_found(unknown.code, "There is no such merchant.") from None
        answer = BonusAnswer(
            act_id=act.act_id,
            affiliate_id=grant.affiliate_id,
            merchant_id=grant.merchant_id,
            offer_id=grant.offer_id,
            amount=MoneyAnswer.of(amount),
            reason_code=grant.reason_code,
            payable_at=datetime.fromisoformat(act.inputs["payable_at"]),
            block_number=block.number,
        )
        return Done(answer.model_dump(mode="json"), bonus_act(act))

    return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"), status=201)
