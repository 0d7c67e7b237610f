"""What a merchant pays the network: before it owes it, and set against what it owes."""

from uuid import UUID

from services.commissions.domain.acts.finance_act import ActImpossible, FinanceAct, act_transaction
from services.commissions.domain.ledger import (
    BANK,
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
    merchant_prepaid,
    merchant_receivable,
)


def merchant_payment(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """inputs: merchant_id, amount_minor, currency, reverses (the transaction of a payment taken back, or null).

    amount_minor: above zero, below zero for one that is taken back. Raises ActImpossible.
    """
    inputs = act.inputs
    amount, currency, reverses = inputs["amount_minor"], inputs["currency"], inputs["reverses"]
    if amount == 0 or (amount < 0) != (reverses is not None):
        raise ActImpossible("a payment is above zero, and one taken back names which")
    entries = (
        LedgerEntry(BANK, currency, amount),
        LedgerEntry(merchant_prepaid(inputs["merchant_id"]), currency, -amount),
    )
    reversed_id = None if reverses is None else UUID(reverses)
    return (act_transaction(act, TransactionKind.MERCHANT_PAYMENT, entries, reverses=reversed_id),)


def prepaid_application(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """inputs: merchant_id, amount_minor (above zero), currency. Raises ActImpossible."""
    inputs = act.inputs
    amount, currency, merchant_id = inputs["amount_minor"], inputs["currency"], inputs["merchant_id"]
    if amount <= 0:
        raise ActImpossible("what is set against a debt is above zero")
    entries = (
        LedgerEntry(merchant_prepaid(merchant_id), currency, amount),
        LedgerEntry(merchant_receivable(merchant_id), currency, -amount),
    )
    return (act_transaction(act, TransactionKind.PREPAID_APPLICATION, entries),)
