"""Grant an affiliate a bonus beside its commissions."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.ledger import Block
from services.commissions.usecases.change_payout_settings import require_affiliate
from services.commissions.usecases.post_acts import post_acts
from services.commissions.usecases.record_payment import require_merchant
from shared.kernel.ids import new_id
from shared.kernel.money import Money
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class BonusGrant:
    """amount: above zero. merchant_id: who is charged; None: the network pays it out of its margin.

    offer_id: shown beside it on statements. hold_days: until it is payable.
    """

    affiliate_id: int
    amount: Money
    merchant_id: int | None
    offer_id: int | None
    hold_days: int
    reason_code: str
    actor: str


async def grant_bonus(session: Session, grant: BonusGrant, *, now: datetime) -> tuple[FinanceAct, Block]:
    """Post the bonus. Raises AffiliateUnknown, MerchantUnknown, ActImpossible."""
    await require_affiliate(session, grant.affiliate_id)
    if grant.merchant_id is not None:
        await require_merchant(session, grant.merchant_id)
    inputs = {
        "affiliate_id": grant.affiliate_id,
        "merchant_id": grant.merchant_id,
        "offer_id": grant.offer_id,
        "amount_minor": grant.amount.amount_minor,
        "currency": grant.amount.currency,
        "payable_at": (now + timedelta(days=grant.hold_days)).isoformat(),
    }
    act = FinanceAct(new_id(), "bonus", inputs, grant.actor, now, grant.reason_code)
    block = await post_acts(session, [act], now=now)
    assert block is not None, "a bonus moves something"
    return act, block
