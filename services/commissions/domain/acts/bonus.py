"""A bonus: what an affiliate gets beside its commissions, from a merchant or from the network's own margin."""

from datetime import datetime

from services.commissions.domain.acts.finance_act import ActImpossible, FinanceAct, act_transaction
from services.commissions.domain.ledger import (
    NETWORK_MARGIN,
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
    affiliate_payable,
    merchant_receivable,
)


def bonus(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """inputs: affiliate_id, amount_minor (above zero), currency, payable_at (RFC 3339), merchant_id or null.

    merchant_id: who is charged; null: the network pays it out of its margin. offer_id: shown on statements, or null.
    Raises ActImpossible.
    """
    inputs = act.inputs
    amount, currency, merchant_id = inputs["amount_minor"], inputs["currency"], inputs["merchant_id"]
    if amount <= 0:
        raise ActImpossible("a bonus is above zero")
    payer = NETWORK_MARGIN if merchant_id is None else merchant_receivable(merchant_id)
    payable_at = datetime.fromisoformat(inputs["payable_at"])
    entries = (
        LedgerEntry(payer, currency, amount),
        LedgerEntry(affiliate_payable(inputs["affiliate_id"]), currency, -amount, payable_at),
    )
    return (act_transaction(act, TransactionKind.BONUS, entries, offer_id=inputs.get("offer_id")),)
