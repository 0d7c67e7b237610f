"""What people do here as acts of the audit chain: which state of each thing the hashes vouch for."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.prefunding import Prefunding
from services.commissions.storage.goal_store import BonusGoal
from services.commissions.storage.prefunding_store import MerchantPayment
from shared.runtime.audit import Act, state_hash


def merchant_payment_act(payment: MerchantPayment) -> Act:
    """A merchant's payment was recorded, or taken back."""
    return Act("merchant_payment", str(payment.payment_id), None, state_hash(_payment_state(payment)))


def bonus_act(act: FinanceAct) -> Act:
    """A bonus was granted."""
    return Act("finance_act", str(act.act_id), None, state_hash({**act.inputs, "reason_code": act.reason_code}))


def goal_act(before: BonusGoal | None, after: BonusGoal) -> Act:
    """A goal was set, or ended."""
    return Act.of("bonus_goal", after.goal_id, asdict, before, after)


def prefunding_act(before: Prefunding | None, after: Prefunding) -> Act:
    """A merchant's prepaid balance is watched, or watched otherwise."""
    return Act.of("prefunding", f"{after.merchant_id}:{after.currency}", _prefunding_state, before, after)


def _payment_state(payment: MerchantPayment) -> Mapping[str, Any]:
    return {
        "payment_id": payment.payment_id,
        "merchant_id": payment.merchant_id,
        "currency": payment.currency,
        "amount_minor": payment.amount_minor,
        "received_on": payment.received_on.isoformat(),
        "reverses": payment.reverses,
        "reason_code": payment.reason_code,
        "recorded_at": payment.recorded_at,
    }


def _prefunding_state(prefunding: Prefunding) -> Mapping[str, Any]:
    return {
        "merchant_id": prefunding.merchant_id,
        "currency": prefunding.currency,
        "low_balance_minor": prefunding.low_balance_minor,
        "pauses_at_zero": prefunding.pauses_at_zero,
    }
