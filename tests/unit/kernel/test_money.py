"""Money is exact, never negative by accident, and never loses a minor unit."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.kernel.errors import InvalidValue
from shared.kernel.money import (
    AMOUNT_MINOR_MAX,
    Money,
    MoneyInvalid,
    allocate,
    is_currency,
    parse_money,
    parse_rate_percent,
    percentage_of,
    round_half_up,
    zero,
)

amounts = st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX)
rates = st.decimals(0, 100, places=6)
currencies = st.sampled_from(["EUR", "JPY", "KWD", "USD", "CLF"])


@given(st.integers(0, AMOUNT_MINOR_MAX), currencies)
@example(AMOUNT_MINOR_MAX, "JPY")
def test_what_is_written_is_read_back(amount_minor: int, currency: str) -> None:
    money = Money(amount_minor, currency)

    assert parse_money(money.decimal_text(), currency) == money


@pytest.mark.parametrize(
    ("amount", "currency", "amount_minor"),
    [("12.34", "EUR", 1234), ("0.5", "EUR", 50), ("500", "JPY", 500), ("1.234", "KWD", 1234), ("0", "EUR", 0)],
)
def test_amounts_follow_the_currency(amount: str, currency: str, amount_minor: int) -> None:
    assert parse_money(amount, currency).amount_minor == amount_minor


@pytest.mark.parametrize(
    "amount",
    [
        "",
        " 5 ",
        "-1",
        "+1",
        "1e3",
        "1_000",
        "1,000",
        "0x10",
        "١٢",
        "NaN",
        "Infinity",
        "1.",
        ".5",
        "01",
        "1.2.3",
        *("9" * 16, "1\x00", "1\n"),
    ],
)
def test_anything_but_a_plain_decimal_is_refused(amount: str) -> None:
    with pytest.raises(MoneyInvalid) as refused:
        parse_money(amount, "EUR")

    assert refused.value.field == "amount"
    assert amount not in str(refused.value) or len(amount) < 3


@pytest.mark.parametrize(
    ("amount", "currency"), [("1.234", "EUR"), ("1.0", "JPY"), ("1.2345", "KWD"), ("1.230", "EUR")]
)
def test_more_decimals_than_the_currency_has_is_an_error(amount: str, currency: str) -> None:
    with pytest.raises(MoneyInvalid) as refused:
        parse_money(amount, currency)

    assert refused.value.code == "amount_too_precise"


@pytest.mark.parametrize("currency", ["eur", "EURO", "", "XXX", "ABC", "€"])
def test_an_unknown_currency_is_named(currency: str) -> None:
    with pytest.raises(MoneyInvalid) as refused:
        parse_money("1", currency)

    assert refused.value.field == "currency"
    assert not is_currency(currency)


def test_half_a_unit_rounds_up_once_at_the_end() -> None:
    assert percentage_of(Money(500, "EUR"), Decimal("2.9")) == Money(15, "EUR")
    assert round_half_up(Decimal("-14.5")) == -15


@given(amounts, rates)
def test_a_percentage_is_the_nearest_unit_and_a_reversal_its_exact_opposite(amount_minor: int, rate: Decimal) -> None:
    part = percentage_of(Money(amount_minor, "EUR"), rate)

    assert abs(Fraction(part.amount_minor) - Fraction(amount_minor) * Fraction(rate) / 100) <= Fraction(1, 2)
    assert percentage_of(Money(-amount_minor, "EUR"), rate) == -part


@given(amounts, st.lists(st.integers(0, 10**6), min_size=1, max_size=20).filter(any))
def test_a_split_loses_nothing(amount_minor: int, weights: list[int]) -> None:
    whole = Money(amount_minor, "EUR")
    parts = allocate(whole, weights)

    assert sum(part.amount_minor for part in parts) == amount_minor
    assert [-part for part in allocate(-whole, weights)] == parts
    for part, weight in zip(parts, weights, strict=True):
        assert abs(Fraction(part.amount_minor) - Fraction(amount_minor * weight, sum(weights))) < 1


def test_two_currencies_do_not_add_up() -> None:
    with pytest.raises(MoneyInvalid):
        Money(1, "EUR") + Money(1, "USD")
    assert Money(1, "EUR") - Money(3, "EUR") + zero("EUR") == Money(-2, "EUR")


def test_no_float_becomes_money() -> None:
    with pytest.raises(TypeError):
        Money(1.0, "EUR")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Money(True, "EUR")


@pytest.mark.parametrize("rate", ["-1", "100.000001", "1e1", "", "1.1234567", "NaN", " 1"])
def test_a_rate_outside_the_rules_is_refused(rate: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_rate_percent(rate)

    assert refused.value.field == "rate_percent"


def test_rates_are_exact() -> None:
    assert parse_rate_percent("2.9") == Decimal("2.9")
    assert parse_rate_percent("100") == 100
