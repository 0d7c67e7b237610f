"""A credit in another currency: exact, one rounding, one rate over all its versions; no rate is never the rate 1."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commissions.domain.commission import CommissionStatus, Standing
from services.commissions.domain.exchange_rates import rate_text
from services.commissions.domain.paid_currency import currency_to_convert
from services.commissions.domain.postings import CreditVersion, Release, apply_release, apply_version, target_price
from services.commissions.domain.terms import FlatTerm, PercentageTerm, PricingImpossible, Rate, RichTerm
from shared.contracts.commissions import DecisionsV1, RateAwaitedV1, RateUsedV1
from shared.kernel.ids import derived_id
from shared.kernel.money import Money, exponent_of, round_half_up_exact

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
TEN_AND_TWO = PercentageTerm(Decimal(10), Decimal(2))
CURRENCIES = st.sampled_from(["USD", "JPY", "KWD", "GBP"])
PERCENTS = st.decimals(min_value=0, max_value=100, places=4)
RATES = st.decimals(min_value="0.000001", max_value="100000", places=6)
NETS = st.integers(0, 10**11)


def used(rate: Decimal, base: str = "USD", quote: str = "EUR") -> RateUsedV1:
    return RateUsedV1(base=base, quote=quote, rate=rate_text(rate), source="ecb", as_of="2026-11-23")


def version(number: int, status: str, net: Money, term: object = TEN_AND_TWO, **changes: object) -> CreditVersion:
    conversion_id = UUID(int=7)
    made = CreditVersion(
        event_id=derived_id(conversion_id, f"v{number}"),
        commission_id=derived_id(conversion_id, "commission"),
        conversion_id=conversion_id,
        version=number,
        status=status,
        affiliate_id=3,
        merchant_id=7,
        offer_id=1,
        offer_version=1,
        ordered=Money(10**11, net.currency),
        net=net,
        occurred_at=AT + timedelta(days=number),
        term=term,  # type: ignore[arg-type]
        hold_days=0,
        pays_in="EUR",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@given(CURRENCIES, NETS, PERCENTS, PERCENTS, RATES)
def test_each_amount_is_exact_until_the_one_rounding_at_the_end(
    currency: str, net: int, rate_percent: Decimal, margin_percent: Decimal, rate: Decimal
) -> None:
    term = PercentageTerm(rate_percent, margin_percent)
    decisions = DecisionsV1(rate=used(rate, currency))

    price = target_price(version(1, "pending", Money(net, currency), term), decisions)

    unit = Fraction(rate) * Fraction(10) ** (2 - exponent_of(currency))
    for amount, percent in ((price.commission, rate_percent), (price.margin, margin_percent)):
        assert amount == Money(round_half_up_exact(net * Fraction(percent) / 100 * unit), "EUR")


@given(RATES, st.lists(NETS, min_size=1, max_size=6), st.booleans())
def test_every_version_is_priced_by_the_first_ones_rate(rate: Decimal, nets: list[int], ends_reversed: bool) -> None:
    decisions, standing, moved = DecisionsV1(rate=used(rate)), None, dict[str, int]()
    steps = [version(n, "pending", Money(net, "USD")) for n, net in enumerate(nets, start=1)]
    steps.append(version(len(nets) + 1, "approved", Money(nets[-1], "USD")))
    if ends_reversed:
        steps.append(version(len(nets) + 2, "reversed", Money(0, "USD")))

    for step in steps:
        outcome = apply_version(standing, step, decisions)
        standing = outcome.standing
        for posted in outcome.posted:
            for entry in posted.transaction.entries:
                assert entry.currency == "EUR"
                moved[str(entry.account)] = moved.get(str(entry.account), 0) + entry.amount_minor

    last = target_price(steps[-1], decisions) if not ends_reversed else None
    expected = (0, 0) if last is None else (last.commission.amount_minor, last.margin.amount_minor)
    assert (-moved.get("affiliate_payable:3", 0), -moved.get("network_margin", 0)) == expected
    assert moved.get("affiliate_pending:3", 0) == 0
    assert sum(moved.values()) == 0


def test_without_a_rate_no_amount_passes_for_one_in_the_other_currency() -> None:
    for rate in (None, used(Decimal(1), "GBP"), used(Decimal(1), "USD", "GBP")):
        with pytest.raises(PricingImpossible):
            apply_version(None, version(1, "pending", Money(100, "USD")), DecisionsV1(rate=rate))


def test_what_is_held_stands_at_nothing_until_it_is_released() -> None:
    awaits = RateAwaitedV1(base="USD", quote="EUR", on="2026-11-24")
    held = DecisionsV1(held="rate_missing", awaits=awaits)

    first = apply_version(None, version(1, "pending", Money(10_000, "USD")), held)
    second = apply_version(first.standing, version(2, "approved", Money(5_001, "USD")), held)
    assert second.standing is not None
    released = apply_release(
        second.standing,
        version(2, "approved", Money(5_001, "USD")),
        Release(UUID(int=9), 1, "key:k", AT, "rate_recorded"),
        DecisionsV1(rate=used(Decimal("0.8"))),
    )

    assert (first.posted, second.posted) == ((), ())
    assert second.standing == Standing(
        (3, 1, 1), CommissionStatus.HELD, Money(0, "EUR"), Money(0, "EUR"), Money(5_001, "USD"), AT + timedelta(days=2),
        None,
    )  # fmt: skip
    assert released.standing is not None
    assert (released.standing.status, released.standing.commission) == (CommissionStatus.APPROVED, Money(400, "EUR"))


@pytest.mark.parametrize(
    ("term", "net", "expected"),
    [
        (TEN_AND_TWO, Money(1, "USD"), "USD"),
        (TEN_AND_TWO, Money(1, "EUR"), None),
        (TEN_AND_TWO, None, None),
        (FlatTerm(Money(1, "EUR"), Money(0, "EUR")), Money(1, "USD"), None),
        (FlatTerm(Money(1, "GBP"), Money(0, "GBP")), Money(1, "USD"), "GBP"),
        (FlatTerm(Money(1, "GBP"), Money(0, "GBP")), None, "GBP"),
        (RichTerm(Rate(Decimal(5), Money(1, "EUR"))), Money(1, "USD"), "USD"),
        (RichTerm(Rate(flat_amount=Money(1, "EUR"), margin_percent=Decimal(2))), Money(1, "USD"), "USD"),
    ],
)
def test_the_currency_to_convert_is_the_orders_where_a_share_of_it_is_paid(
    term: object, net: Money | None, expected: str | None
) -> None:
    assert currency_to_convert(term, net, "EUR") == expected  # type: ignore[arg-type]
