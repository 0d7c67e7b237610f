"""What expires of clicks: whole months of the click log, and tombstones nothing can bring a click back past."""

from datetime import datetime, timedelta
from typing import Final

from shared.kernel.clock import Clock
from shared.runtime import retention
from shared.runtime.database import Session
from shared.runtime.retention import BATCH_ROWS, first_with_work, forget_letters, months_before
from shared.runtime.sweep import Step

NOTES_KEPT: Final = timedelta(days=60)
"""Of clicks that offers pay for: longer than the event log can bring one back (30 days, and a segment's slack)."""


def retention_step(*, click_months: int) -> Step:
    """Removes what is due. click_months: age at which a whole month of clicks goes."""

    async def months(session: Session, clock: Clock) -> int:
        now = clock.now()
        dropped = await retention.drop_month(
            session, "click", "drop_click_month_before", months_before(now, click_months)
        )
        await retention.show_oldest_month(session, "click", now)
        return dropped

    async def tombstones(session: Session, clock: Clock) -> int:
        return await _forget_tombstones(session, months_before(clock.now(), click_months) - timedelta(days=31))

    async def notes(session: Session, clock: Clock) -> int:
        return await retention.remove(
            session,
            "billable_click",
            "DELETE FROM billable_click WHERE click_id IN"
            " (SELECT click_id FROM billable_click WHERE clicked_at < $1 LIMIT $2)",
            (clock.now() - NOTES_KEPT, BATCH_ROWS),
        )

    return first_with_work(months, tombstones, notes, forget_letters)


async def _forget_tombstones(session: Session, cutoff: datetime) -> int:
    return await retention.remove(
        session,
        "erased_click",
        "DELETE FROM erased_click WHERE click_id IN (SELECT click_id FROM erased_click WHERE erased_at < $1 LIMIT $2)",
        (cutoff, BATCH_ROWS),
    )
