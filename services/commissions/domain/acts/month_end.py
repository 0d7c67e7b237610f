"""What a month comes to once its total is known: a true-up to the tier that was reached, and a second level's share."""

from datetime import datetime

from services.commissions.domain.acts.finance_act import FinanceAct, act_transaction
from services.commissions.domain.ledger import (
    NETWORK_MARGIN,
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
    affiliate_payable,
    merchant_receivable,
)


def true_up(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """inputs: affiliate_id, merchant_id, offer_id, offer_version, currency, payable_at, and in minor units by name.

    target_commission_minor, target_margin_minor: of the cohort's conversions at the level reached. standing_…: posted
    for them conversion by conversion. posted_…: of earlier true-ups. The rest is told: period, measure, mode, achieved,
    conversions. Posts the difference, in either direction; nothing where there is none.
    """
    commission, margin = (_difference(act, name) for name in ("commission", "margin"))
    return _charged(act, TransactionKind.TRUE_UP, act.inputs["affiliate_id"], commission, margin)


def referral(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """inputs: affiliate_id (who is paid), referred_id (whose conversions), the others as of `true_up`.

    target_commission_minor: the second level's share of the cohort's conversions. posted_commission_minor: of earlier
    acts for the same cohort.
    """
    amount = act.inputs["target_commission_minor"] - act.inputs["posted_commission_minor"]
    return _charged(act, TransactionKind.REFERRAL, act.inputs["affiliate_id"], amount, 0)


def _difference(act: FinanceAct, name: str) -> int:
    target, standing, posted = (act.inputs[f"{part}_{name}_minor"] for part in ("target", "standing", "posted"))
    difference: int = target - standing - posted
    return difference


def _charged(
    act: FinanceAct, kind: TransactionKind, affiliate_id: int, commission: int, margin: int
) -> tuple[LedgerTransaction, ...]:
    currency = act.inputs["currency"]
    payable_at = datetime.fromisoformat(act.inputs["payable_at"])
    entries = (
        LedgerEntry(merchant_receivable(act.inputs["merchant_id"]), currency, commission + margin),
        LedgerEntry(affiliate_payable(affiliate_id), currency, -commission, payable_at),
        LedgerEntry(NETWORK_MARGIN, currency, -margin),
    )
    if not commission and not margin:
        return ()
    return (act_transaction(act, kind, entries, offer_id=act.inputs["offer_id"]),)
