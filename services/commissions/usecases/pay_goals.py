"""Pay the bonuses of goals that were reached in a month, each affiliate once a goal and month."""

from datetime import datetime, timedelta
from uuid import UUID

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.storage.commission_store import find_projected
from services.commissions.storage.goal_store import Achieved, BonusGoal, find_achieved, find_goals_of
from shared.contracts.catalogue import CATALOGUE_DECODER, OfferChangedV1, offer_key
from shared.kernel.ids import derived_id
from shared.kernel.period import Period
from shared.runtime.database import Session


async def merchant_of(session: Session, offer_id: int) -> int | None:
    """Whose offer it is, as far as the catalogue has told; None for one that it has not."""
    key = offer_key(offer_id)
    payload = (await find_projected(session, [key])).get(key)
    event = None if payload is None else CATALOGUE_DECODER.decode(payload)
    return event.merchant_id if isinstance(event, OfferChangedV1) else None


async def find_goal_bonuses(
    session: Session, period: Period, *, now: datetime, payable_after: timedelta
) -> list[FinanceAct]:
    """The acts of `period`: counted as it stands now, before a refund that comes later, which takes no bonus back."""
    acts: list[FinanceAct] = []
    for goal in await find_goals_of(session, period):
        for achieved in await find_achieved(session, goal, period):
            if _is_reached(goal, achieved):
                acts.append(_bonus(goal, achieved, period, now, now + payable_after))
    return acts


def _is_reached(goal: BonusGoal, achieved: Achieved) -> bool:
    if goal.conversions is not None:
        return achieved.conversions >= goal.conversions
    return goal.revenue_minor is not None and achieved.revenue_minor >= goal.revenue_minor


def _bonus(goal: BonusGoal, achieved: Achieved, period: Period, now: datetime, payable_at: datetime) -> FinanceAct:
    inputs = {
        "affiliate_id": achieved.affiliate_id,
        "merchant_id": goal.merchant_id if goal.paid_by == "merchant" else None,
        "offer_id": goal.offer_id,
        "amount_minor": goal.amount_minor,
        "currency": goal.currency,
        "payable_at": payable_at.isoformat(),
        "goal_id": str(goal.goal_id),
        "period": str(period),
        "conversions": achieved.conversions,
        "revenue_minor": achieved.revenue_minor,
    }
    return FinanceAct(bonus_act_id(goal.goal_id, period, achieved), "bonus", inputs, "rule:goal", now, goal.reason_code)


def bonus_act_id(goal_id: UUID, period: Period, achieved: Achieved) -> UUID:
    """The same for ever: the database refuses a second bonus of one goal, month and affiliate."""
    return derived_id(goal_id, f"{period}:{achieved.affiliate_id}")
