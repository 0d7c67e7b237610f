"""`/v1/bonus-goals`: what an affiliate gets for reaching so much in a month, paid at the month's end."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from services.commissions.api.bonuses import ReasonCode
from services.commissions.api.desk import Staff, desk_of
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.storage.goal_store import GOALS_MAX, BonusGoal, end_goal, insert_goal, list_goals
from services.commissions.usecases.audited_payments import goal_act
from services.commissions.usecases.pay_goals import merchant_of
from shared.kernel.ids import new_id
from shared.kernel.money import Money, parse_money
from shared.kernel.period import parse_period, period_of
from shared.runtime.database import Session
from shared.runtime.http_app import MoneyAnswer, MoneyModel, StrictModel, StrictRoute, WireId
from shared.runtime.principal import Principal, require_role
from shared.runtime.problem import conflict, field_invalid, not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["commissions"])
Anyone = Annotated[Principal, Depends(require_role("admin", "finance", "merchant", "affiliate"))]
PeriodText = Annotated[str, Field(pattern="^[0-9]{4}-(0[1-9]|1[0-2])$")]


class GoalBody(StrictModel):
    """Exactly one of conversions and revenue. affiliate_id: left out, everybody on the offer. Periods: UTC months."""

    offer_id: WireId
    affiliate_id: WireId | None = None
    conversions: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    revenue: MoneyModel | None = None
    amount: MoneyModel
    paid_by: Literal["merchant", "network"]
    reason_code: ReasonCode
    first_period: PeriodText
    last_period: PeriodText | None = None


class GoalAnswer(BaseModel):
    """One goal. amount: paid for each month in which it is reached."""

    id: UUID
    offer_id: int
    merchant_id: int
    affiliate_id: int | None
    conversions: int | None
    revenue: MoneyAnswer | None
    amount: MoneyAnswer
    paid_by: Literal["merchant", "network"]
    reason_code: str
    first_period: str
    last_period: str | None
    recorded_at: datetime


class GoalsAnswer(BaseModel):
    """Every goal that the caller may see, newest first."""

    items: Annotated[list[GoalAnswer], Field(max_length=GOALS_MAX)]
    next_cursor: None = None


@router.post("/bonus-goals", status_code=201, response_model=GoalAnswer)
async def post_goal(request: Request, caller: Staff, body: GoalBody) -> Response:
    """Set a goal. Its bonus is posted as a month closes in which it was reached, by conversions that stand then."""
    desk = desk_of(request)
    goal = _goal(body, actor=f"key:{caller.key_id}", now=desk.clock.now())

    async def effect(session: Session) -> Done:
        merchant_id = await merchant_of(session, goal.offer_id)
        if merchant_id is None:
            raise not_found("offer_not_found", "There is no such offer.")
        return await _set(session, replace(goal, merchant_id=merchant_id))

    return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"), status=201)


async def _set(session: Session, goal: BonusGoal) -> Done:
    if not await insert_goal(session, goal):
        raise conflict("goals_exhausted", f"The network has {GOALS_MAX} goals, which is the most.")
    return Done(_answer(goal).model_dump(mode="json"), goal_act(None, goal))


@router.get("/bonus-goals", response_model=GoalsAnswer)
async def get_goals(request: Request, caller: Anyone) -> dict[str, Any]:
    """Goals: a merchant's of its offers, an affiliate's own, everybody's for staff."""
    async with desk_of(request).reading(caller) as session:
        goals = await list_goals(session)
    return {"items": [_answer(goal) for goal in goals], "next_cursor": None}


@router.post("/bonus-goals/{goal_id}/end", response_model=GoalAnswer)
async def post_goal_end(request: Request, caller: Staff, goal_id: UUID) -> Response:
    """End a goal. The month that runs is its last."""
    desk = desk_of(request)

    async def effect(session: Session) -> Done:
        ended = await end_goal(session, goal_id, last_period=period_of(desk.clock.now()))
        if ended is None:
            raise not_found("goal_not_found", "There is no such goal.")
        return Done(_answer(ended[1]).model_dump(mode="json"), goal_act(*ended))

    return await perform_once(request, caller, effect, asked=None)


def _goal(body: GoalBody, *, actor: str, now: datetime) -> BonusGoal:
    amount = parse_money(body.amount.amount, body.amount.currency, field="amount.amount")
    if amount.amount_minor == 0:
        raise field_invalid("amount.amount", "amount_zero", "must be above zero")
    if (body.conversions is None) == (body.revenue is None):
        raise field_invalid("conversions", "goal_measures_one", "give conversions or revenue, exactly one")
    revenue = None
    if body.revenue is not None:
        revenue = parse_money(body.revenue.amount, body.revenue.currency, field="revenue.amount").amount_minor
        if revenue == 0 or body.revenue.currency != amount.currency:
            raise field_invalid("revenue", "revenue_invalid", "must be above zero, in the bonus's currency")
    first = parse_period(body.first_period)
    if first < period_of(now):
        raise field_invalid("first_period", "period_past", "must be this month or a later one")
    if body.last_period is not None and parse_period(body.last_period) < first:
        raise field_invalid("last_period", "periods_reversed", "must not be before first_period")
    return BonusGoal(
        goal_id=new_id(),
        offer_id=body.offer_id,
        merchant_id=0,  # of the offer, which the catalogue tells
        affiliate_id=body.affiliate_id,
        conversions=body.conversions,
        revenue_minor=revenue,
        amount_minor=amount.amount_minor,
        currency=amount.currency,
        paid_by=body.paid_by,
        reason_code=body.reason_code,
        first_period=body.first_period,
        last_period=body.last_period,
        recorded_at=now,
        actor=actor,
    )


def _answer(goal: BonusGoal) -> GoalAnswer:
    return GoalAnswer(
        id=goal.goal_id,
        offer_id=goal.offer_id,
        merchant_id=goal.merchant_id,
        affiliate_id=goal.affiliate_id,
        conversions=goal.conversions,
        revenue=None if goal.revenue_minor is None else MoneyAnswer.of(Money(goal.revenue_minor, goal.currency)),
        amount=MoneyAnswer.of(Money(goal.amount_minor, goal.currency)),
        paid_by=goal.paid_by,  # type: ignore[arg-type]
        reason_code=goal.reason_code,
        first_period=goal.first_period,
        last_period=goal.last_period,
        recorded_at=goal.recorded_at,
    )
