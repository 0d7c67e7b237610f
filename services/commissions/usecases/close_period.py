"""Close the months that have passed, so that their statements are final."""

from datetime import datetime

from services.commissions.storage.ledger_store import first_open_period, insert_period_close, lock_head
from shared.kernel.period import Period, period_of
from shared.runtime.database import Session


async def close_passed_periods(session: Session, now: datetime) -> list[Period]:
    """Close, oldest first, every period that ended by `now`; gives those that it closed.

    Under the block lock: a posting is sealed either before, inside the period, or after it, and never into it again.
    """
    await lock_head(session)
    closed: list[Period] = []
    period = await first_open_period(session)
    while period is not None and period < period_of(now):
        await insert_period_close(session, period, now=now)
        closed.append(period)
        period = period.following()
    return closed
