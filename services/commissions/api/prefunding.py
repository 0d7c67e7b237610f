"""`/v1/prefunding`: a merchant's prepaid balances, when it wants to be warned, and whether its offers pause at zero."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from services.commissions.api.desk import desk_of
from services.commissions.api.merchant_payments import Payer
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.domain.prefunding import Prefunding
from services.commissions.storage.prefunding_store import list_prefundings
from services.commissions.usecases.audited_payments import prefunding_act
from services.commissions.usecases.record_payment import MerchantUnknown
from services.commissions.usecases.watch_prefunding import available_of, change_prefunding
from shared.kernel.money import Money, parse_money
from shared.runtime.database import Session
from shared.runtime.http_app import MoneyAnswer, MoneyModel, QueryId, StrictModel, StrictRoute
from shared.runtime.principal import Principal, own_or_asked
from shared.runtime.problem import field_invalid, not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["merchant payments"])


class PrefundingBody(StrictModel):
    """low_balance: warn below it; its currency is the balance's. pause_at_zero: pause offers while nothing is left."""

    low_balance: MoneyModel
    pause_at_zero: bool


class PrefundingAnswer(BaseModel):
    """One balance. available: prepaid less owed, at block_number; below zero the merchant owes."""

    merchant_id: int
    currency: str
    available: MoneyAnswer
    state: Literal["ok", "low", "exhausted"]
    low_balance: MoneyAnswer
    pause_at_zero: bool
    block_number: int
    changed_at: datetime


class PrefundingsAnswer(BaseModel):
    """Every balance that is watched."""

    items: Annotated[list[PrefundingAnswer], Field(max_length=1_000)]
    next_cursor: None = None


@router.get("/prefunding", response_model=PrefundingsAnswer)
async def get_prefunding(request: Request, caller: Payer, merchant_id: QueryId | None = None) -> dict[str, Any]:
    """A merchant's watched balances: its own, or those of the merchant that staff names."""
    async with desk_of(request).reading(caller) as session:
        rows = await list_prefundings(session, merchant_id=_payer(caller, merchant_id))
    return {"items": [_document(each) for each, _ in rows], "next_cursor": None}


@router.put("/prefunding", response_model=PrefundingAnswer)
async def put_prefunding(
    request: Request, caller: Payer, body: PrefundingBody, merchant_id: QueryId | None = None
) -> Response:
    """Watch the balance of one currency. With pause_at_zero the active offers pause while nothing is left."""
    desk, payer = desk_of(request), _payer(caller, merchant_id)
    low = parse_money(body.low_balance.amount, body.low_balance.currency, field="low_balance.amount")

    async def effect(session: Session) -> Done:
        try:
            before, after = await change_prefunding(
                session,
                payer,
                low.currency,
                low_balance_minor=low.amount_minor,
                pauses_at_zero=body.pause_at_zero,
                now=desk.clock.now(),
            )
        except MerchantUnknown as unknown:
            raise not_found(unknown.code, "There is no such merchant.") from None
        answer = PrefundingAnswer.model_validate(_document(after))
        return Done(answer.model_dump(mode="json"), prefunding_act(before, after))

    return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"))


def _payer(caller: Principal, merchant_id: int | None) -> int:
    payer = own_or_asked(caller.merchant_id, merchant_id)
    if payer is None:
        raise field_invalid("merchant_id", "party_needed", "name a merchant_id")
    return payer


def _document(prefunding: Prefunding) -> dict[str, Any]:
    return {
        "merchant_id": prefunding.merchant_id,
        "currency": prefunding.currency,
        "available": MoneyAnswer.of(available_of(prefunding)).model_dump(),
        "state": prefunding.state.value,
        "low_balance": MoneyAnswer.of(Money(prefunding.low_balance_minor, prefunding.currency)).model_dump(),
        "pause_at_zero": prefunding.pauses_at_zero,
        "block_number": prefunding.block_number,
        "changed_at": prefunding.changed_at,
    }
