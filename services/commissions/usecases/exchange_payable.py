"""Exchange what is payable to an affiliate into another currency, at the day's rate."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from services.commissions.domain.acts.currency_exchange import exchanged_amount
from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.storage.ledger_store import lock_head
from services.commissions.storage.position_store import due_payable
from services.commissions.usecases.find_rate import find_rate
from services.commissions.usecases.post_acts import post_acts
from shared.contracts.commissions import RateUsedV1
from shared.kernel.errors import TributaryError
from shared.kernel.ids import new_id
from shared.kernel.money import Money
from shared.runtime.database import Session


class NotPayable(TributaryError):
    """More than is payable to the affiliate in that currency now, or so little that nothing would come out."""

    code = "exchange_exceeds_payable"


@dataclass(frozen=True, slots=True)
class Exchanged:
    """An exchange that was posted: what went in, what came out, and the rate that is frozen with it."""

    act_id: UUID
    block_number: int
    given: Money
    received: Money
    rate: RateUsedV1


async def exchange_payable(
    session: Session,
    affiliate_id: int,
    *,
    currency: str,
    to_currency: str,
    amount: Money | None,
    actor: str,
    reason_code: str | None,
    now: datetime,
    rate_days_max: int = RATE_DAYS_MAX,
) -> Exchanged:
    """Turn `amount` of `currency`, or all of it that is payable by now, into `to_currency`.

    What is payable is looked at under the block lock, so that no payout comes between. Raises RateMissing, NotPayable.
    """
    found = await find_rate(
        session, base=currency, quote=to_currency, on=now.astimezone(UTC).date(), days_max=rate_days_max
    )
    await lock_head(session)
    due = await due_payable(session, affiliate_id, currency=currency, now=now)
    given = Money(due, currency) if amount is None else amount
    received = exchanged_amount(given, quote=to_currency, rate=found.used.rate)
    if not 0 < given.amount_minor <= due or received.amount_minor <= 0:
        raise NotPayable(f"{Money(max(due, 0), currency)} is payable now")
    inputs = {
        "affiliate_id": affiliate_id,
        "amount_minor": given.amount_minor,
        "rate": msgspec.to_builtins(found.used),
    }
    act = FinanceAct(new_id(), "currency_exchange", inputs, actor, now, reason_code)
    block = await post_acts(session, [act], now=now)
    assert block is not None, "an exchange posts"
    return Exchanged(act.act_id, block.number, given, received, found.used)
