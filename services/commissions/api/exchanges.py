"""Money that changes its currency: what is payable to an affiliate, and what that leaves to the network's risk."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from services.commissions.api.desk import desk_of
from services.commissions.api.exchange_rates import Currency, ReasonCode
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.api.rate_answers import RateUsedAnswer, rate_used_answer
from services.commissions.usecases.audited_rates import exchange_act, revaluation_act
from services.commissions.usecases.change_payout_settings import AffiliateUnknown, require_affiliate
from services.commissions.usecases.exchange_payable import Exchanged, NotPayable, exchange_payable
from services.commissions.usecases.find_rate import RateMissing
from services.commissions.usecases.revalue_positions import PeriodOpen, RevaluationDone, Revalued, revalue_positions
from shared.kernel.money import is_currency, parse_money
from shared.kernel.period import parse_period
from shared.runtime.database import Session
from shared.runtime.http_app import MoneyAnswer, PathId, StrictModel, StrictRoute
from shared.runtime.principal import Principal, require_role
from shared.runtime.problem import conflict, field_invalid, not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["exchange rates"])
Finance = Annotated[Principal, Depends(require_role("finance"))]

RATE_NEEDED = "exchange_rate_needed"
"""409: nothing is posted, since no rate holds on the day."""


class ExchangeBody(StrictModel):
    """amount: a decimal in from_currency, at most what is payable now; all of that without it."""

    from_currency: Currency
    to_currency: Currency
    amount: str | None = None
    reason_code: ReasonCode | None = None


class ExchangeAnswer(BaseModel):
    """What was payable in one currency, and is payable in another now. act_id: the finance act that posted it."""

    act_id: str
    affiliate_id: int
    given: MoneyAnswer
    received: MoneyAnswer
    rate: RateUsedAnswer
    block_number: int


class RevaluationBody(StrictModel):
    """period: a closed month, `YYYY-MM`. base_currency: what the network counts in."""

    period: str
    base_currency: Currency


class PositionAnswer(BaseModel):
    """What stands on `fx_exchange` in one currency (debit is positive), and what that is worth in the base currency."""

    amount: MoneyAnswer
    worth: MoneyAnswer
    rate: RateUsedAnswer


class RevaluationAnswer(BaseModel):
    """book: what stood in the base currency. gain: what was posted; negative is a loss, zero posts nothing."""

    act_id: str
    period: str
    book: MoneyAnswer
    positions: list[PositionAnswer]
    gain: MoneyAnswer
    block_number: int | None


@router.post("/affiliates/{affiliate_id}/exchanges", status_code=201, response_model=ExchangeAnswer)
async def exchange(request: Request, caller: Finance, affiliate_id: PathId, body: ExchangeBody) -> Response:
    """Exchange what is payable to an affiliate. At today's rate, which is frozen with the posting."""
    desk = desk_of(request)
    _require_two(body)
    amount = None if body.amount is None else parse_money(body.amount, body.from_currency)

    async def effect(session: Session) -> Done:
        await require_affiliate(session, affiliate_id)
        done = await exchange_payable(
            session,
            affiliate_id,
            currency=body.from_currency,
            to_currency=body.to_currency,
            amount=amount,
            actor=f"key:{caller.key_id}",
            reason_code=body.reason_code,
            now=desk.clock.now(),
            rate_days_max=desk.rate_days_max,
        )
        return Done(_exchange_answer(done, affiliate_id).model_dump(mode="json"), exchange_act(done, affiliate_id))

    try:
        return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"), status=201)
    except AffiliateUnknown as unknown:
        raise not_found(unknown.code, "There is no such affiliate.") from None
    except NotPayable as refused:
        raise conflict(refused.code, f"{refused}.") from None
    except RateMissing as missing:
        raise conflict(RATE_NEEDED, f"{missing}.") from None


@router.post("/fx-revaluations", status_code=201, response_model=RevaluationAnswer)
async def revalue(request: Request, caller: Finance, body: RevaluationBody) -> Response:
    """Revalue what stands on fx_exchange. At the rates of the month's last day, once for each month."""
    desk, period = desk_of(request), parse_period(body.period)
    if not is_currency(body.base_currency):
        raise field_invalid("base_currency", "currency_unknown", "must be an upper-case ISO 4217 code such as EUR")

    async def effect(session: Session) -> Done:
        done = await revalue_positions(
            session,
            period,
            base=body.base_currency,
            actor=f"key:{caller.key_id}",
            now=desk.clock.now(),
            rate_days_max=desk.rate_days_max,
        )
        return Done(_revaluation_answer(done).model_dump(mode="json"), revaluation_act(done))

    try:
        return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"), status=201)
    except (PeriodOpen, RevaluationDone) as refused:
        raise conflict(refused.code, f"{refused}.") from None
    except RateMissing as missing:
        raise conflict(RATE_NEEDED, f"{missing}.") from None


def _require_two(body: ExchangeBody) -> None:
    for field, code in (("from_currency", body.from_currency), ("to_currency", body.to_currency)):
        if not is_currency(code):
            raise field_invalid(field, "currency_unknown", "must be an upper-case ISO 4217 code such as EUR")
    if body.from_currency == body.to_currency:
        raise field_invalid("to_currency", "currencies_equal", "must be another currency than from_currency")


def _exchange_answer(done: Exchanged, affiliate_id: int) -> ExchangeAnswer:
    return ExchangeAnswer(
        act_id=str(done.act_id),
        affiliate_id=affiliate_id,
        given=MoneyAnswer.of(done.given),
        received=MoneyAnswer.of(done.received),
        rate=rate_used_answer(done.rate),
        block_number=done.block_number,
    )


def _revaluation_answer(done: Revalued) -> RevaluationAnswer:
    return RevaluationAnswer(
        act_id=str(done.act_id),
        period=str(done.period),
        book=MoneyAnswer.of(done.book),
        positions=[
            PositionAnswer(
                amount=MoneyAnswer.of(each.position),
                worth=MoneyAnswer.of(each.worth),
                rate=rate_used_answer(each.rate.used),
            )
            for each in done.positions
        ],
        gain=MoneyAnswer.of(done.gain),
        block_number=done.block_number,
    )
