"""Every kind of finance act, and what computes its transactions."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from services.commissions.domain.acts.bonus import bonus
from services.commissions.domain.acts.currency_exchange import currency_exchange
from services.commissions.domain.acts.finance_act import ActImpossible, FinanceAct
from services.commissions.domain.acts.merchant_payment import merchant_payment, prepaid_application
from services.commissions.domain.acts.month_end import referral, true_up
from services.commissions.domain.acts.payout import payout, payout_return, settlement
from services.commissions.domain.acts.revaluation import revaluation
from services.commissions.domain.ledger import LedgerTransaction

ACTS: Final[Mapping[str, Callable[[FinanceAct], tuple[LedgerTransaction, ...]]]] = MappingProxyType(
    {
        "bonus": bonus,
        "currency_exchange": currency_exchange,
        "revaluation": revaluation,
        "merchant_payment": merchant_payment,
        "prepaid_application": prepaid_application,
        "payout": payout,
        "payout_return": payout_return,
        "settlement": settlement,
        "true_up": true_up,
        "referral": referral,
    }
)


def transactions_of(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """The transactions of `act`, the same every time. Raises ActImpossible for a kind or inputs without sense."""
    compute = ACTS.get(act.kind)
    if compute is None:
        raise ActImpossible("no finance act is of this kind")
    try:
        return compute(act)
    except (KeyError, TypeError, ValueError) as fault:
        raise ActImpossible(f"its inputs cannot be read: {type(fault).__name__}") from None
