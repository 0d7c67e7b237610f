"""Gather what a payout run has to know of each affiliate, at a block or now."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.commissions.domain.payout_run import Payee, RunTerms, due_before
from services.commissions.storage.payable_store import PayableSums, find_negative_since, find_paid_on, sum_payables
from services.commissions.storage.payout_settings_store import find_newest_settings, find_stopped
from services.commissions.storage.payout_store import find_in_open_runs
from services.commissions.usecases.change_payout_settings import active_affiliates
from shared.runtime.database import Session

_NOTHING = PayableSums(0, 0)


async def find_payees(
    session: Session,
    affiliate_ids: Sequence[int],
    terms: RunTerms,
    *,
    block_number: int | None,
    run_id: UUID | None,
    cure: timedelta,
    now: datetime,
) -> dict[int, Payee]:
    """Each of these affiliates, by id. block_number: where balances are cut, None for now. run_id: whose own lines
    count as no other run.
    """
    wanted = list(affiliate_ids)
    settings = await find_newest_settings(session, wanted)
    limits = {each: due_before(terms, settings[each].net_days if each in settings else 0) for each in wanted}
    sums = await sum_payables(session, limits, currency=terms.currency, block_number=block_number)
    active, stopped = await active_affiliates(session, wanted), await find_stopped(session, wanted)
    negative_since = await find_negative_since(session, wanted)
    in_other_run = await find_in_open_runs(session, currency=terms.currency, besides=run_id)
    paid_on = await find_paid_on(session, wanted)
    return {
        each: Payee(
            affiliate_id=each,
            settings=settings.get(each),
            due_minor=sums.get(each, _NOTHING).due_minor,
            balance_minor=sums.get(each, _NOTHING).balance_minor,
            is_active=each in active,
            is_stopped=each in stopped,
            is_past_cure=each in negative_since and negative_since[each] + cure < now,
            is_in_other_run=each in in_other_run,
            paid_on=paid_on.get(each),
        )
        for each in wanted
    }
