"""Payouts, what settles them, and what comes back: one act a run, or a bank's answer; a transaction a payee.

act            affiliate_payable  payout_clearing   bank
payout                     +1000            −1000
settlement                                  +1000  −1000
payout_return              −1000            +1000             came back before it was settled
payout_return              −1000                   +1000      came back after it was settled
"""

from collections.abc import Iterator

from services.commissions.domain.acts.finance_act import ActImpossible, FinanceAct, act_transaction
from services.commissions.domain.ledger import (
    BANK,
    PAYOUT_CLEARING,
    Account,
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
    affiliate_payable,
)


def payout(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """inputs: run_id, currency, lines: [[affiliate_id, amount_minor]], amounts above zero. Raises ActImpossible."""
    return tuple(
        _moved(act, TransactionKind.PAYOUT, affiliate_id, amount, affiliate_payable(affiliate_id), PAYOUT_CLEARING)
        for affiliate_id, amount in _lines(act, "lines")
    )


def settlement(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """inputs: run_id, currency, lines as of a payout. Raises ActImpossible."""
    return tuple(
        _moved(act, TransactionKind.SETTLEMENT, affiliate_id, amount, PAYOUT_CLEARING, BANK)
        for affiliate_id, amount in _lines(act, "lines")
    )


def payout_return(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """inputs: run_id, currency, from_clearing and from_bank: lines as of a payout. Raises ActImpossible."""
    sources = ((PAYOUT_CLEARING, "from_clearing"), (BANK, "from_bank"))
    return tuple(
        _moved(act, TransactionKind.PAYOUT_RETURN, affiliate_id, amount, source, affiliate_payable(affiliate_id))
        for source, name in sources
        for affiliate_id, amount in _lines(act, name)
    )


def _lines(act: FinanceAct, name: str) -> Iterator[tuple[int, int]]:
    for affiliate_id, amount_minor in act.inputs[name]:
        if amount_minor <= 0:
            raise ActImpossible("a payout is above zero")
        yield affiliate_id, amount_minor


def _moved(
    act: FinanceAct, kind: TransactionKind, affiliate_id: int, amount: int, debit: Account, credit: Account
) -> LedgerTransaction:
    currency = act.inputs["currency"]
    entries = (LedgerEntry(debit, currency, amount), LedgerEntry(credit, currency, -amount))
    return act_transaction(act, kind, entries, part=str(affiliate_id))
