"""Stop an affiliate's payouts, and let them go on."""

from datetime import datetime

from services.commissions.storage.payout_settings_store import (
    PayoutStop,
    delete_stop,
    find_stop,
    insert_stop,
    lock_affiliate_settings,
)
from services.commissions.usecases.change_payout_settings import require_affiliate
from shared.kernel.errors import TributaryError
from shared.runtime.database import Session


class NotStopped(TributaryError):
    """The affiliate's payouts are not stopped."""

    code = "payout_stop_not_found"


async def stop_payouts(
    session: Session, affiliate_id: int, reason_code: str, *, now: datetime
) -> tuple[PayoutStop | None, PayoutStop]:
    """Stop them; gives the stop before, if there was one, and the one that stands. Raises AffiliateUnknown."""
    await lock_affiliate_settings(session, affiliate_id)
    await require_affiliate(session, affiliate_id)
    before = await find_stop(session, affiliate_id)
    if before is not None:
        return before, before
    stop = PayoutStop(affiliate_id, reason_code, now)
    await insert_stop(session, stop)
    return None, stop


async def lift_payout_stop(session: Session, affiliate_id: int) -> PayoutStop:
    """Let them go on; gives the stop that was. Raises NotStopped."""
    await lock_affiliate_settings(session, affiliate_id)
    before = await delete_stop(session, affiliate_id)
    if before is None:
        raise NotStopped("the affiliate's payouts are not stopped")
    return before
