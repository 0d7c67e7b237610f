"""Exchange and revaluation, computed from their stored inputs: zero-sum per currency, exact, the same again."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.commissions.domain.acts.finance_act import ActImpossible, FinanceAct
from services.commissions.domain.acts.registry import transactions_of
from services.commissions.domain.acts.revaluation import posted_difference
from services.commissions.domain.exchange_rates import rate_text
from services.commissions.domain.ledger import LedgerTransaction
from shared.kernel.errors import TributaryError
from shared.kernel.money import Money, exact_conversion, exponent_of

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
RATES = st.decimals(min_value="0.0001", max_value="10000", places=4)
FOREIGN = st.sampled_from(["USD", "JPY", "KWD", "GBP"])


def rate(base: str, quote: str, text: str) -> dict[str, str]:
    return {"base": base, "quote": quote, "rate": text, "source": "ecb", "as_of": "2026-11-23"}


def act(kind: str, **inputs: Any) -> FinanceAct:
    return FinanceAct(UUID(int=1), kind, inputs, "key:k", AT)


def moved(transactions: tuple[LedgerTransaction, ...]) -> dict[str, int]:
    return {
        f"{entry.account} {entry.currency}": entry.amount_minor
        for transaction in transactions
        for entry in transaction.entries
    }


def test_an_exchange_moves_what_is_owed_from_one_currency_to_the_other() -> None:
    exchange = act("currency_exchange", affiliate_id=3, amount_minor=1_000, rate=rate("USD", "EUR", "0.8"))

    (transaction,) = transactions_of(exchange)

    assert moved((transaction,)) == {
        "affiliate_payable:3 USD": 1_000,
        "fx_exchange USD": -1_000,
        "fx_exchange EUR": 800,
        "affiliate_payable:3 EUR": -800,
    }
    assert transaction.entries[-1].payable_at == AT
    assert transactions_of(exchange) == (transaction,)


@given(FOREIGN, st.integers(1, 10**12), RATES)
def test_an_exchange_sums_to_zero_in_each_currency_and_rounds_once(currency: str, amount: int, text: Decimal) -> None:
    exact = exact_conversion(Fraction(amount), base=currency, quote="EUR", rate=text)
    assume(exact >= Fraction(1, 2))

    entries = moved(
        transactions_of(
            act("currency_exchange", affiliate_id=3, amount_minor=amount, rate=rate(currency, "EUR", rate_text(text)))
        )
    )

    assert entries[f"affiliate_payable:3 {currency}"] + entries[f"fx_exchange {currency}"] == 0
    assert entries["affiliate_payable:3 EUR"] + entries["fx_exchange EUR"] == 0
    assert abs(entries["fx_exchange EUR"] - exact) <= Fraction(1, 2)


@pytest.mark.parametrize(
    "inputs",
    [
        {"affiliate_id": 3, "amount_minor": 0, "rate": rate("USD", "EUR", "0.8")},
        {"affiliate_id": 3, "amount_minor": -5, "rate": rate("USD", "EUR", "0.8")},
        {"affiliate_id": 3, "amount_minor": 1, "rate": rate("USD", "EUR", "0.4")},
        {"affiliate_id": 3, "amount_minor": 1, "rate": rate("EUR", "EUR", "1")},
        {"affiliate_id": 3, "amount_minor": 1, "rate": rate("USD", "EUR", "0")},
        {"affiliate_id": 3, "amount_minor": 1, "rate": rate("USD", "EUR", "NaN")},
        {"affiliate_id": 3, "amount_minor": 1},
        {"affiliate_id": 3, "amount_minor": 1, "rate": {**rate("USD", "EUR", "0.8"), "rate": 0.8}},
    ],
)
def test_an_exchange_without_sense_is_no_act(inputs: dict[str, Any]) -> None:
    with pytest.raises(TributaryError):
        transactions_of(act("currency_exchange", **inputs))


def test_a_revaluation_posts_the_difference_between_worth_and_book() -> None:
    """1,000 USD were taken over for 800 EUR and are worth 900 now: the network gained 100."""
    posted = transactions_of(
        act(
            "revaluation",
            period="2026-10",
            base="EUR",
            book_minor=800,
            positions=[{"amount_minor": -1_000, "rate": rate("USD", "EUR", "0.9")}],
        )
    )

    assert moved(posted) == {"fx_exchange EUR": 100, "network_margin EUR": -100}
    assert posted_difference(posted, base="EUR") == Money(100, "EUR")


@given(
    st.integers(-(10**12), 10**12),
    st.dictionaries(FOREIGN, st.tuples(st.integers(-(10**12), 10**12), RATES), max_size=4),
)
def test_after_a_revaluation_book_and_worth_agree_to_half_a_minor_unit(
    book: int, standing: dict[str, tuple[int, Decimal]]
) -> None:
    positions = [
        {"amount_minor": amount, "rate": rate(currency, "EUR", rate_text(text))}
        for currency, (amount, text) in standing.items()
    ]

    def revalue(book_minor: int) -> tuple[LedgerTransaction, ...]:
        return transactions_of(
            act("revaluation", period="2026-10", base="EUR", book_minor=book_minor, positions=positions)
        )

    entries = moved(revalue(book))
    after = book + entries.get("fx_exchange EUR", 0)
    worth = sum(
        (
            amount * Fraction(text) * Fraction(10) ** (2 - exponent_of(currency))
            for currency, (amount, text) in standing.items()
        ),
        Fraction(0),
    )
    assert abs(after + worth) <= Fraction(1, 2)
    assert sum(entries.values()) == 0
    assert revalue(after) == (), "a second one finds nothing to post"


def test_a_position_is_valued_in_the_base_currency_only() -> None:
    for pair in (("USD", "GBP"), ("EUR", "EUR")):
        with pytest.raises(ActImpossible):
            transactions_of(
                act(
                    "revaluation",
                    period="2026-10",
                    base="EUR",
                    book_minor=0,
                    positions=[{"amount_minor": 5, "rate": rate(*pair, "1")}],
                )
            )
