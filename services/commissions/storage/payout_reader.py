"""Payouts as affiliates and staff read them: lines that were exported, whatever became of them."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.commissions.domain.payout_run import LineState
from services.commissions.domain.payout_settings import Method
from shared.kernel.money import Money
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class ShownPayout:
    """One payout."""

    line_id: UUID
    affiliate_id: int
    state: LineState
    reason: str | None
    amount: Money
    method: Method
    up_to: date
    exported_at: datetime
    answered_on: date | None


async def list_payouts(
    session: Session, *, affiliate_id: int | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[ShownPayout]:
    """Payouts, newest first; of one affiliate, or of all that the role may see."""
    connection = await session.connection()
    before_at, before_id = before or (None, None)
    result = await connection.exec_driver_sql(
        "SELECT line_id, affiliate_id, state, reason_code, amount_minor, currency, method, up_to, exported_at,"
        " answered_on FROM payout_line WHERE exported_at IS NOT NULL AND ($1::int IS NULL OR affiliate_id = $1)"
        " AND ($2::timestamptz IS NULL OR (exported_at, line_id) < ($2, $3::uuid))"
        " ORDER BY exported_at DESC, line_id DESC LIMIT $4",
        (affiliate_id, before_at, before_id, limit),
    )
    return [
        ShownPayout(
            line_id=row.line_id,
            affiliate_id=row.affiliate_id,
            state=LineState(row.state),
            reason=row.reason_code,
            amount=Money(row.amount_minor, row.currency),
            method=Method(row.method),
            up_to=row.up_to,
            exported_at=row.exported_at,
            answered_on=row.answered_on,
        )
        for row in result
    ]
