"""Goals, and what affiliates achieved for an offer in a month."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shared.kernel.period import Period
from shared.runtime.database import Session

GOALS_MAX: Final = 1_000
"""Of the whole network; one more is refused."""

_GOAL: Final = (
    "goal_id, offer_id, merchant_id, affiliate_id, conversions, revenue_minor, amount_minor,"
    " currency::text AS currency, paid_by, reason_code, first_period::text AS first_period,"
    " last_period::text AS last_period, recorded_at, actor"
)
_ACHIEVED: Final = """
    SELECT affiliate_id, sum(conversions) AS conversions, sum(revenue) AS revenue FROM (
        SELECT affiliate_id, 1 AS conversions,
            CASE WHEN net_currency = $4 THEN coalesce(net_minor, 0) ELSE 0 END AS revenue
        FROM commission WHERE offer_id = $1 AND recorded_at >= $2 AND recorded_at < $3
            AND status IN ('accrued', 'approved') AND ($5::int IS NULL OR affiliate_id = $5)) AS standing
    GROUP BY affiliate_id ORDER BY affiliate_id
"""


@dataclass(frozen=True, slots=True)
class BonusGoal:
    """One goal. affiliate_id: None for everybody on the offer. Exactly one of conversions and revenue_minor is set.

    amount_minor: of the bonus, for each month in which the goal is reached, first_period to last_period (None: open).
    """

    goal_id: UUID
    offer_id: int
    merchant_id: int
    affiliate_id: int | None
    conversions: int | None
    revenue_minor: int | None
    amount_minor: int
    currency: str
    paid_by: str
    reason_code: str
    first_period: str
    last_period: str | None
    recorded_at: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class Achieved:
    """What one affiliate achieved: standing conversions, and their net revenue in the goal's currency."""

    affiliate_id: int
    conversions: int
    revenue_minor: int


async def insert_goal(session: Session, goal: BonusGoal) -> bool:
    """Write a goal; False where there are GOALS_MAX already."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "INSERT INTO bonus_goal (goal_id, offer_id, merchant_id, affiliate_id, conversions, revenue_minor,"
        " amount_minor, currency, paid_by, reason_code, first_period, last_period, recorded_at, actor)"
        " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14"
        " WHERE (SELECT count(*) FROM bonus_goal) < $15 RETURNING goal_id",
        (*(getattr(goal, name) for name in BonusGoal.__slots__), GOALS_MAX),
    )
    return result.one_or_none() is not None


async def list_goals(session: Session, *, merchant_id: int | None = None) -> list[BonusGoal]:
    """Every goal that the caller may see, newest first."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_GOAL} FROM bonus_goal WHERE $1::int IS NULL OR merchant_id = $1"  # noqa: S608 (own column names)
        " ORDER BY goal_id DESC",
        (merchant_id,),
    )
    return [BonusGoal(**row) for row in result.mappings()]


async def end_goal(session: Session, goal_id: UUID, *, last_period: Period) -> tuple[BonusGoal, BonusGoal] | None:
    """Let the goal end with `last_period`; gives it before and after, None where there is none."""
    connection = await session.connection()
    found = await connection.exec_driver_sql(
        f"SELECT {_GOAL} FROM bonus_goal WHERE goal_id = $1 FOR UPDATE",  # noqa: S608 (own column names)
        (goal_id,),
    )
    row = found.mappings().one_or_none()
    if row is None:
        return None
    changed = await connection.exec_driver_sql(
        f"UPDATE bonus_goal SET last_period = $2 WHERE goal_id = $1 RETURNING {_GOAL}",  # noqa: S608 (own names)
        (goal_id, str(last_period)),
    )
    return BonusGoal(**row), BonusGoal(**changed.mappings().one())


async def find_goals_of(session: Session, period: Period) -> list[BonusGoal]:
    """Goals that count in `period`."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_GOAL} FROM bonus_goal"  # noqa: S608 (own column names)
        " WHERE first_period <= $1 AND (last_period IS NULL OR last_period >= $1) ORDER BY goal_id",
        (str(period),),
    )
    return [BonusGoal(**row) for row in result.mappings()]


async def find_achieved(session: Session, goal: BonusGoal, period: Period) -> list[Achieved]:
    """What each affiliate that the goal is for achieved in `period`, as it stands now."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        _ACHIEVED, (goal.offer_id, period.start, period.end, goal.currency, goal.affiliate_id)
    )
    return [_achieved(row) for row in result]


def _achieved(row: Any) -> Achieved:
    return Achieved(row.affiliate_id, int(row.conversions), int(row.revenue))
