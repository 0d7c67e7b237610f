"""What a conversion is worth: worked examples of every kind of term, and of what makes no sense."""

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

from services.commissions.domain.orders import order_of
from services.commissions.domain.pricing import explain
from services.commissions.domain.read_terms import read_term
from services.commissions.domain.referral import Referral, referral_of
from services.commissions.domain.rules import Given
from services.commissions.domain.terms import (
    FlatTerm,
    PercentageTerm,
    Price,
    PricingImpossible,
    RichTerm,
    price,
)
from services.commissions.domain.tiers import levels_of
from shared.contracts.catalogue import (
    OverrideV1,
    RateV1,
    TermV1,
    TiersV1,
    TierV1,
    pays_shares,
)
from shared.contracts.commissions import DecisionsV1, RateUsedV1
from shared.contracts.conversions import LineItemV1
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money
from shared.kernel.period import months_after
from tests.factories.terms import AFFILIATE, AT, a_rule, an_order, euros, explained, paid_for, sale


@pytest.mark.parametrize(
    ("minor", "rate_percent", "currency", "expected"),
    [
        (500, "2.9", "EUR", 15),
        (3, "20", "EUR", 1),
        (1, "50", "EUR", 1),
        (7, "20", "EUR", 1),
        (2, "20", "EUR", 0),
        (1_005, "5", "JPY", 50),
        (1_005, "10", "KWD", 101),
    ],
)
def test_worked_examples_of_rounding_hold_for_simple_and_for_rich_terms(
    minor: int, rate_percent: str, currency: str, expected: int
) -> None:
    simple, rich = sale(rate_percent), sale(rate_percent, excludes=["tax"])

    assert isinstance(read_term(simple), PercentageTerm)
    assert isinstance(read_term(rich), RichTerm)
    assert paid_for(simple, an_order(minor, currency=currency))[0] == expected
    assert paid_for(rich, an_order(minor, currency=currency))[0] == expected


def test_rank_decides_and_never_the_higher_number() -> None:
    low = a_rule(1, RateV1(rate_percent="3"), ("coupon", "in", ["save"]))
    high = a_rule(2, RateV1(rate_percent="30"), ("coupon", "in", ["save"]))

    assert paid_for(sale(rules=[high, low]), an_order(10_000, coupon="SAVE"))[0] == 300


def test_all_conditions_of_a_rule_must_hold_and_the_first_that_fails_is_named() -> None:
    rule = a_rule(1, RateV1(rate_percent="20"), ("customer_status", "in", ["new"]), ("country", "not_in", ["US"]))
    term = sale(rules=[rule])

    both = explained(term, an_order(10_000, customer_status="new", country="DE"))
    one = explained(term, an_order(10_000, customer_status="new", country="US"))

    assert both.price.commission == Money(2_000, "EUR")
    assert (both.parts[0].part.winner.kind, both.parts[0].part.winner.rank) == ("rule", 1)
    assert one.price.commission == Money(1_000, "EUR")
    passed = one.parts[0].part.passed_over
    assert [(each.rank, each.condition.fact, each.found) for each in passed] == [(1, "country", "US")]


def test_lines_are_priced_by_their_category_and_the_rest_by_the_own_rate() -> None:
    term = sale(
        "10",
        margin_percent="1",
        rules=[
            a_rule(1, RateV1(rate_percent="2", margin_percent="0"), ("category", "in", ["Books"])),
            a_rule(2, RateV1(flat_amount=euros(50)), ("sku", "in", ["X-1"])),
        ],
    )
    items = [
        LineItemV1(category="books", amount=euros(2_000)),
        LineItemV1(sku="x-1", quantity=3, amount=euros(3_000)),
        LineItemV1(category="music", amount=euros(1_000)),
    ]

    found = explained(term, an_order(10_000, items=items))

    shown = [(each.part.winner.kind, each.part.lines, each.part.is_rest, each.commission) for each in found.parts]
    expected: list[object] = [("own_rate", (3,), True, 500), ("rule", (1,), False, 40), ("rule", (2,), False, 150)]
    assert shown == expected
    assert found.price == Price(Money(690, "EUR"), Money(80, "EUR"))


def test_tax_shipping_and_discount_are_no_base_where_the_term_says_so() -> None:
    term = sale("10", excludes=["tax", "shipping", "discount"])
    event = an_order(11_900, tax=euros(1_900), shipping=euros(500), discount=euros(500))

    found = explained(term, event)

    assert found.price.commission == Money(900, "EUR")
    assert found.base == 9_000
    assert found.excluded == (
        ("discount", Money(500, "EUR")), ("shipping", Money(500, "EUR")), ("tax", Money(1_900, "EUR"))
    )  # fmt: skip
    assert paid_for(sale("10", excludes=["tax"]), event)[0] == 1_000


def test_a_refund_takes_the_same_share_of_every_line_and_of_the_rest() -> None:
    term = sale("10", excludes=["tax"], rules=[a_rule(1, RateV1(rate_percent="50"), ("category", "in", ["a"]))])
    items = [LineItemV1(category="a", amount=euros(300))]

    found = explained(term, an_order(1_000, 333, tax=euros(100), items=items))

    by_kind = {each.part.winner.kind: each.part.base for each in found.parts}
    assert by_kind == {"rule": Fraction(300 * 333, 1_000), "own_rate": Fraction(600 * 333, 1_000)}


def test_an_own_override_is_asked_before_a_groups_and_replaces_the_rules() -> None:
    everyone = a_rule(1, RateV1(rate_percent="50"), ("country", "not_in", ["XX"]))
    gold = OverrideV1(group="gold", pays=RateV1(rate_percent="12"))
    own = OverrideV1(affiliate_id=AFFILIATE, pays=RateV1(rate_percent="7"))
    other = OverrideV1(affiliate_id=99, pays=RateV1(rate_percent="99"))
    silver = OverrideV1(group="silver", pays=RateV1(rate_percent="11"))
    both = DecisionsV1(groups=["silver", "gold"])

    assert paid_for(sale(rules=[everyone], overrides=[other, gold, own]), an_order(10_000), both)[0] == 700
    assert paid_for(sale(rules=[everyone], overrides=[other, gold, silver]), an_order(10_000), both)[0] == 1_200
    assert paid_for(sale(rules=[everyone], overrides=[other, gold]), an_order(10_000))[0] == 5_000


def test_the_three_modes_of_margin() -> None:
    of_order = sale("10", margin_percent="2", excludes=["tax"])
    of_commission = sale("10", margin_percent="20", margin_mode="of_commission")
    on_top = sale("10", margin_percent="20", margin_mode="on_top")

    assert paid_for(of_order, an_order(10_000)) == (1_000, 200)
    assert paid_for(of_commission, an_order(10_000)) == (800, 200)
    assert paid_for(on_top, an_order(10_000)) == (1_000, 200)
    assert paid_for(of_commission, an_order(25)) == (2, 1)  # 2.5 → 3, split 2.4 : 0.6
    assert paid_for(on_top, an_order(25)) == (3, 1)  # 2.5 → 3, and 0.5 → 1


def test_a_flat_amount_counts_for_each_click_of_a_bundle_and_changes_only_at_zero() -> None:
    click = TermV1(event="click", kind="flat", flat_amount=euros(3), margin_amount=euros(1))
    combined = sale("10", kind="combined", flat_amount=euros(100))

    assert paid_for(click, an_order(None, quantity=250)) == (750, 250)
    assert price(FlatTerm(Money(3, "EUR"), Money(1, "EUR")), ordered=None, net=None, quantity=250) == Price(
        Money(750, "EUR"), Money(250, "EUR")
    )
    assert [paid_for(combined, an_order(1_000, net))[0] for net in (1_000, 500, 0)] == [200, 150, 0]


def test_a_share_and_an_amount_come_to_no_more_than_the_order_unless_they_may() -> None:
    limited = sale("10", kind="combined", flat_amount=euros(500), margin_percent="2")

    assert paid_for(limited, an_order(300)) == (297, 3)
    assert explained(limited, an_order(300)).is_limited
    assert paid_for(msgspec.structs.replace(limited, may_exceed_order=True), an_order(300)) == (530, 6)
    assert paid_for(TermV1(event="lead", kind="flat", flat_amount=euros(500)), an_order(300))[0] == 500


def test_tiers_pay_by_the_level_that_was_decided() -> None:
    tiers = TiersV1(
        measure="conversions",
        mode="step",
        tiers=[
            TierV1(from_count=0, pays=RateV1(rate_percent="5")),
            TierV1(from_count=10, pays=RateV1(rate_percent="8")),
        ],
    )
    term = sale("10", tiers=tiers, rules=[a_rule(1, RateV1(rate_percent="20"), ("coupon", "in", ["x"]))])

    assert paid_for(term, an_order(10_000))[0] == 500
    assert paid_for(term, an_order(10_000), DecisionsV1(tier=1))[0] == 800
    assert paid_for(term, an_order(10_000, coupon="x"), DecisionsV1(tier=1))[0] == 2_000
    with pytest.raises(PricingImpossible):
        paid_for(term, an_order(10_000), DecisionsV1(tier=2))


def test_a_marginal_order_pays_each_level_for_what_lies_in_it() -> None:
    tiers = TiersV1(
        measure="revenue",
        mode="marginal",
        tiers=[
            TierV1(from_amount=euros(0), pays=RateV1(rate_percent="5")),
            TierV1(from_amount=euros(10_000), pays=RateV1(rate_percent="10")),
        ],
    )
    term = read_term(sale("1", tiers=tiers))
    assert isinstance(term, RichTerm)
    assert term.tiers is not None

    levels = levels_of(term.tiers, achieved=14_000, before=8_000, size=6_000)
    found = explain(term, order_of(an_order(6_000)), Given(AFFILIATE, levels=levels))

    assert levels == ((0, Fraction(1, 3)), (1, Fraction(2, 3)))
    assert found.price.commission == Money(100 + 400, "EUR")


def test_an_order_beyond_the_months_of_its_customer_earns_nothing_and_says_so() -> None:
    term = sale("10", recurring_months=1)

    within = explained(term, an_order(10_000, customer_first_at=AT.replace(month=10, hour=9)))
    beyond = explained(term, an_order(10_000, customer_first_at=AT.replace(month=10)))

    assert (within.price.commission.amount_minor, within.nothing) == (1_000, None)
    assert (beyond.price.commission.amount_minor, beyond.nothing) == (0, "recurring_ended")
    assert (
        paid_for(sale("10", recurring_months=0), an_order(10_000, customer_first_at=AT.replace(year=2000)))[0] == 1_000
    )
    assert months_after(AT.replace(year=2024, month=1, day=31), 1).day == 29


def test_an_order_in_another_currency_is_converted_before_it_is_rounded() -> None:
    decisions = DecisionsV1(rate=RateUsedV1(base="JPY", quote="EUR", rate="0.0061", source="ecb", as_of="2026-11-23"))

    found = explained(sale("10"), an_order(1_005, currency="JPY"), decisions).price

    assert found.commission == Money(61, "EUR")  # 1,005 × 0.61 × 10 % = 61.305 cents


def test_the_second_level_is_a_share_of_the_sale_or_of_the_commission() -> None:
    priced = explained(sale("10", excludes=["tax"]), an_order(1_190, tax=euros(190)))
    ended = explained(sale("10", recurring_months=1), an_order(1_000, customer_first_at=AT.replace(year=2025)))

    assert referral_of(Referral(Decimal("1.25"), "sale"), priced) == Money(13, "EUR")
    assert referral_of(Referral(Decimal("25"), "commission"), priced) == Money(25, "EUR")
    assert referral_of(Referral(Decimal("25"), "sale"), ended) == Money(0, "EUR")


@pytest.mark.parametrize(
    "term",
    [
        sale("60", margin_percent="41", excludes=["tax"]),
        sale("60", margin_percent="70", margin_mode="on_top"),
        sale("101"),
        sale("1000.1", may_exceed_order=True),
        sale("10", margin_percent="101", margin_mode="of_commission"),
        sale("10", margin_amount=euros(1), margin_mode="of_commission"),
        sale(None, kind="combined", flat_amount=euros(1)),
        sale("10", kind="combined"),
        sale("10", rules=[a_rule(1, RateV1(), ("coupon", "in", ["x"]))]),
        sale("10", rules=[a_rule(1, RateV1(rate_percent="1"))]),
        sale("10", rules=[a_rule(1, RateV1(rate_percent="1"), ("weather", "in", ["x"]))]),
        sale("10", rules=[a_rule(1, RateV1(rate_percent="1"), ("coupon", "at_least", ["1"]))]),
        sale("10", rules=[a_rule(1, RateV1(rate_percent="1"), ("order_amount", "at_least", ["-1"]))]),
        sale("10", rules=[a_rule(1, RateV1(rate_percent="1"), ("order_amount", "at_least", ["NaN"]))]),
        sale("10", rules=[a_rule(1, RateV1(rate_percent="1"), ("coupon", "in", ["x"]))] * 2),
        sale("10", overrides=[OverrideV1(pays=RateV1(rate_percent="1"))]),
        sale("10", tiers=TiersV1(measure="conversions", mode="step", tiers=[])),
        sale("10", recurring_months=-1),
    ],
)
def test_a_term_without_sense_is_refused_before_it_prices(term: TermV1) -> None:
    with pytest.raises((PricingImpossible, InvalidValue)):
        read_term(term)


def test_a_price_in_two_currencies_is_refused() -> None:
    with pytest.raises(PricingImpossible):
        paid_for(sale("10", kind="combined", flat_amount=euros(5, "USD")), an_order(1_000))
    with pytest.raises(PricingImpossible):
        paid_for(sale("10", excludes=["tax"]), an_order(1_000, tax=euros(5, "USD")))


@pytest.mark.parametrize(
    ("term", "asks"),
    [
        (TermV1(event="lead", kind="flat", flat_amount=euros(5)), False),
        (TermV1(event="lead", kind="flat", flat_amount=euros(5), margin_amount=euros(1)), False),
        (TermV1(event="lead", kind="flat", flat_amount=euros(5), margin_percent="2"), True),
        (TermV1(event="lead", kind="flat", flat_amount=euros(5), margin_percent="2", margin_mode="on_top"), False),
        (sale("10"), True),
        (
            TermV1(
                event="lead",
                kind="flat",
                flat_amount=euros(5),
                overrides=[OverrideV1(group="gold", pays=RateV1(rate_percent="2"))],
            ),
            True,
        ),
    ],
)
def test_an_amount_is_needed_wherever_a_share_may_be_paid(term: TermV1, asks: bool) -> None:
    assert pays_shares(term) is asks
