"""What is payable to an affiliate in one currency becomes payable in another, at one frozen rate (ADR 0014)."""

from fractions import Fraction

from services.commissions.domain.acts.finance_act import ActImpossible, FinanceAct, act_transaction
from services.commissions.domain.exchange_rates import used_rate
from services.commissions.domain.ledger import (
    FX_EXCHANGE,
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
    affiliate_payable,
)
from shared.kernel.money import Money, convert


def currency_exchange(act: FinanceAct) -> tuple[LedgerTransaction, ...]:
    """inputs: affiliate_id, amount_minor (above zero) in `base`, rate {base, quote, rate, source, as_of}.

    One transaction that sums to zero in each of the two currencies: `fx_exchange` takes over what is owed in `base`
    and owes the rest of the world what comes out in `quote`, which is payable at once. Raises ActImpossible.
    """
    inputs = act.inputs
    base, quote, amount = inputs["rate"]["base"], inputs["rate"]["quote"], inputs["amount_minor"]
    received = exchanged_amount(Money(amount, base), quote=quote, rate=inputs["rate"]["rate"])
    if amount <= 0 or received.amount_minor <= 0 or base == quote:
        raise ActImpossible("something above zero becomes something above zero in another currency")
    account = affiliate_payable(inputs["affiliate_id"])
    entries = (
        LedgerEntry(account, base, amount),
        LedgerEntry(FX_EXCHANGE, base, -amount),
        LedgerEntry(FX_EXCHANGE, quote, received.amount_minor),
        LedgerEntry(account, quote, -received.amount_minor, act.occurred_at),
    )
    return (act_transaction(act, TransactionKind.CURRENCY_EXCHANGE, entries),)


def exchanged_amount(amount: Money, *, quote: str, rate: str) -> Money:
    """What `amount` comes to at `rate`, rounded half up once. Raises InvalidValue."""
    return convert(Fraction(amount.amount_minor), base=amount.currency, quote=quote, rate=used_rate(rate))
