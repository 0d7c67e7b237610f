"""What stands on `fx_exchange` is worth something else at a month's end: the difference is posted, once (ADR 0014)."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from services.commissions.domain.acts.finance_act import ActImpossible, FinanceAct, act_transaction
from services.commissions.domain.exchange_rates import used_rate
from services.commissions.domain.ledger import (
    FX_EXCHANGE,
    NETWORK_MARGIN,
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
)
from shared.kernel.money import Money, exact_conversion, round_half_up_exact


def revaluation(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """inputs: period, base, book_minor (what stands in `base`), positions, each with amount_minor and its rate.

    A position is what stands on `fx_exchange` in another currency; rate: {base, quote, rate, source, as_of}, into
    `base`. Nothing is posted where book and worth agree. Raises ActImpossible.
    """
    inputs = act.inputs
    minor = -(inputs["book_minor"] + round_half_up_exact(worth_of(inputs["positions"], base=inputs["base"])))
    if not minor:
        return ()
    entries = (
        LedgerEntry(FX_EXCHANGE, inputs["base"], minor),
        LedgerEntry(NETWORK_MARGIN, inputs["base"], -minor),
    )
    return (act_transaction(act, TransactionKind.REVALUATION, entries),)


def worth_of(positions: list[Mapping[str, Any]], *, base: str) -> Fraction:
    """All positions in exact minor units of `base`. Raises ActImpossible for a rate of another pair."""
    worth = Fraction(0)
    for position in positions:
        rate = position["rate"]
        if rate["quote"] != base or rate["base"] == base:
            raise ActImpossible("a position is valued in the base currency")
        worth += exact_conversion(
            Fraction(position["amount_minor"]), base=rate["base"], quote=base, rate=used_rate(rate["rate"])
        )
    return worth


def posted_difference(transactions: tuple[LedgerTransaction, ...], *, base: str) -> Money:
    """What the network gained (above zero) or lost by the revaluation."""
    entries = (entry for transaction in transactions for entry in transaction.entries)
    return Money(sum(-entry.amount_minor for entry in entries if entry.account == NETWORK_MARGIN), base)
