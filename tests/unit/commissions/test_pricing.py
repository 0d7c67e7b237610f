"""What a conversion is worth: worked examples, and any term against a price found by another road."""

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.commissions.domain.catalogue import OfferVersion, PricedTerm
from services.commissions.domain.orders import order_of
from services.commissions.domain.postings import apply_version
from services.commissions.domain.pricing import Explanation, explain, given_of, months_after
from services.commissions.domain.read_terms import read_term
from services.commissions.domain.referral import Referral, referral_of
from services.commissions.domain.rules import Given
from services.commissions.domain.terms import (
    FlatTerm,
    PercentageTerm,
    Price,
    PricingImpossible,
    RichTerm,
    general,
    price,
)
from services.commissions.domain.tiers import level_at, levels_of, spread
from services.commissions.usecases.apply_conversions import credit_version
from services.commissions.usecases.write_posting import ConversionVersion
from shared.contracts.catalogue import (
    ConditionV1,
    MoneyV1,
    OverrideV1,
    RateV1,
    RuleV1,
    TermV1,
    TiersV1,
    TierV1,
)
from shared.contracts.commissions import DecisionsV1, RateUsedV1
from shared.contracts.conversions import ConversionChangedV1, LineItemV1
from shared.contracts.events import encode_event
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money
from tests.factories.terms import AFFILIATE, AT, case_of, conversion
from tests.unit.commissions.pricing_oracle import oracle

# Together more than 10,000 generated cases.
MANY: Final = settings(max_examples=5_000, deadline=None)
SOME: Final = settings(max_examples=1_500, deadline=None)
seeds = st.integers(0, 2**64 - 1)


def _euros(minor: int, currency: str = "EUR") -> MoneyV1:
    return MoneyV1(amount_minor=minor, currency=currency)


def _order(minor: int | None, net: int | None = None, currency: str = "EUR", **facts: Any) -> ConversionChangedV1:
    ordered = None if minor is None else _euros(minor, currency)
    left = ordered if net is None else _euros(net, currency)
    return conversion(1, order_amount=ordered, net_amount=left, **facts)


def _explain(term: TermV1, event: ConversionChangedV1, decisions: DecisionsV1 | None = None) -> Explanation:
    return explain(read_term(term), order_of(event), given_of(AFFILIATE, decisions or DecisionsV1()))


def _paid(term: TermV1, event: ConversionChangedV1, decisions: DecisionsV1 | None = None) -> tuple[int, int]:
    found = _explain(term, event, decisions).price
    return found.commission.amount_minor, found.margin.amount_minor


def _sale(rate_percent: str | None = "10", **fields: Any) -> TermV1:
    return TermV1(event="sale", kind=fields.pop("kind", "percentage"), rate_percent=rate_percent, **fields)


def _rule(rank: int, pays: RateV1, *conditions: tuple[str, str, list[str]]) -> RuleV1:
    kept = [ConditionV1(fact=fact, holds=holds, values=values) for fact, holds, values in conditions]  # type: ignore[arg-type]
    return RuleV1(rank=rank, name=f"rule {rank}", conditions=kept, pays=pays)


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
    simple, rich = _sale(rate_percent), _sale(rate_percent, excludes=["tax"])

    assert isinstance(read_term(simple), PercentageTerm)
    assert isinstance(read_term(rich), RichTerm)
    assert _paid(simple, _order(minor, currency=currency))[0] == expected
    assert _paid(rich, _order(minor, currency=currency))[0] == expected


def test_rank_decides_and_never_the_higher_number() -> None:
    low = _rule(1, RateV1(rate_percent="3"), ("coupon", "in", ["save"]))
    high = _rule(2, RateV1(rate_percent="30"), ("coupon", "in", ["save"]))

    assert _paid(_sale(rules=[high, low]), _order(10_000, coupon="SAVE"))[0] == 300


def test_all_conditions_of_a_rule_must_hold_and_the_first_that_fails_is_named() -> None:
    rule = _rule(1, RateV1(rate_percent="20"), ("customer_status", "in", ["new"]), ("country", "not_in", ["US"]))
    term = _sale(rules=[rule])

    both = _explain(term, _order(10_000, customer_status="new", country="DE"))
    one = _explain(term, _order(10_000, customer_status="new", country="US"))

    assert both.price.commission == Money(2_000, "EUR")
    assert (both.parts[0].part.winner.kind, both.parts[0].part.winner.rank) == ("rule", 1)
    assert one.price.commission == Money(1_000, "EUR")
    passed = one.parts[0].part.passed_over
    assert [(each.rank, each.condition.fact, each.found) for each in passed] == [(1, "country", "US")]


def test_lines_are_priced_by_their_category_and_the_rest_by_the_own_rate() -> None:
    term = _sale(
        "10",
        margin_percent="1",
        rules=[
            _rule(1, RateV1(rate_percent="2", margin_percent="0"), ("category", "in", ["Books"])),
            _rule(2, RateV1(flat_amount=_euros(50)), ("sku", "in", ["X-1"])),
        ],
    )
    items = [
        LineItemV1(category="books", amount=_euros(2_000)),
        LineItemV1(sku="x-1", quantity=3, amount=_euros(3_000)),
        LineItemV1(category="music", amount=_euros(1_000)),
    ]

    found = _explain(term, _order(10_000, items=items))

    shown = [(each.part.winner.kind, each.part.lines, each.part.is_rest, each.commission) for each in found.parts]
    assert shown == [("own_rate", (3,), True, 500), ("rule", (1,), False, 40), ("rule", (2,), False, 150)]
    assert found.price == Price(Money(690, "EUR"), Money(80, "EUR"))


def test_tax_shipping_and_discount_are_no_base_where_the_term_says_so() -> None:
    term = _sale("10", excludes=["tax", "shipping", "discount"])
    event = _order(11_900, tax=_euros(1_900), shipping=_euros(500), discount=_euros(500))

    found = _explain(term, event)

    assert found.price.commission == Money(900, "EUR")
    assert found.base == 9_000
    assert found.excluded == (
        ("discount", Money(500, "EUR")), ("shipping", Money(500, "EUR")), ("tax", Money(1_900, "EUR"))
    )  # fmt: skip
    assert _paid(_sale("10", excludes=["tax"]), event)[0] == 1_000


def test_a_refund_takes_the_same_share_of_every_line_and_of_the_rest() -> None:
    term = _sale("10", excludes=["tax"], rules=[_rule(1, RateV1(rate_percent="50"), ("category", "in", ["a"]))])
    items = [LineItemV1(category="a", amount=_euros(300))]

    found = _explain(term, _order(1_000, 333, tax=_euros(100), items=items))

    by_kind = {each.part.winner.kind: each.part.base for each in found.parts}
    assert by_kind == {"rule": Fraction(300 * 333, 1_000), "own_rate": Fraction(600 * 333, 1_000)}


def test_an_own_override_is_asked_before_a_groups_and_replaces_the_rules() -> None:
    everyone = _rule(1, RateV1(rate_percent="50"), ("country", "not_in", ["XX"]))
    gold = OverrideV1(group="gold", pays=RateV1(rate_percent="12"))
    own = OverrideV1(affiliate_id=AFFILIATE, pays=RateV1(rate_percent="7"))
    other = OverrideV1(affiliate_id=99, pays=RateV1(rate_percent="99"))
    silver = OverrideV1(group="silver", pays=RateV1(rate_percent="11"))
    both = DecisionsV1(groups=["silver", "gold"])

    assert _paid(_sale(rules=[everyone], overrides=[other, gold, own]), _order(10_000), both)[0] == 700
    assert _paid(_sale(rules=[everyone], overrides=[other, gold, silver]), _order(10_000), both)[0] == 1_200
    assert _paid(_sale(rules=[everyone], overrides=[other, gold]), _order(10_000))[0] == 5_000


def test_the_three_modes_of_margin() -> None:
    of_order = _sale("10", margin_percent="2", excludes=["tax"])
    of_commission = _sale("10", margin_percent="20", margin_mode="of_commission")
    on_top = _sale("10", margin_percent="20", margin_mode="on_top")

    assert _paid(of_order, _order(10_000)) == (1_000, 200)
    assert _paid(of_commission, _order(10_000)) == (800, 200)
    assert _paid(on_top, _order(10_000)) == (1_000, 200)
    assert _paid(of_commission, _order(25)) == (2, 1)  # 2.5 → 3, split 2.4 : 0.6
    assert _paid(on_top, _order(25)) == (3, 1)  # 2.5 → 3, and 0.5 → 1


def test_a_flat_amount_counts_for_each_click_of_a_bundle_and_changes_only_at_zero() -> None:
    click = TermV1(event="click", kind="flat", flat_amount=_euros(3), margin_amount=_euros(1))
    combined = _sale("10", kind="combined", flat_amount=_euros(100))

    assert _paid(click, _order(None, quantity=250)) == (750, 250)
    assert price(FlatTerm(Money(3, "EUR"), Money(1, "EUR")), ordered=None, net=None, quantity=250) == Price(
        Money(750, "EUR"), Money(250, "EUR")
    )
    assert [_paid(combined, _order(1_000, net))[0] for net in (1_000, 500, 0)] == [200, 150, 0]


def test_a_share_and_an_amount_come_to_no_more_than_the_order_unless_they_may() -> None:
    limited = _sale("10", kind="combined", flat_amount=_euros(500), margin_percent="2")

    assert _paid(limited, _order(300)) == (297, 3)
    assert _explain(limited, _order(300)).is_limited
    assert _paid(msgspec.structs.replace(limited, may_exceed_order=True), _order(300)) == (530, 6)
    assert _paid(TermV1(event="lead", kind="flat", flat_amount=_euros(500)), _order(300))[0] == 500


def test_tiers_pay_by_the_level_that_was_decided() -> None:
    tiers = TiersV1(
        measure="conversions",
        mode="step",
        tiers=[
            TierV1(from_count=0, pays=RateV1(rate_percent="5")),
            TierV1(from_count=10, pays=RateV1(rate_percent="8")),
        ],
    )
    term = _sale("10", tiers=tiers, rules=[_rule(1, RateV1(rate_percent="20"), ("coupon", "in", ["x"]))])

    assert _paid(term, _order(10_000))[0] == 500
    assert _paid(term, _order(10_000), DecisionsV1(tier=1))[0] == 800
    assert _paid(term, _order(10_000, coupon="x"), DecisionsV1(tier=1))[0] == 2_000
    with pytest.raises(PricingImpossible):
        _paid(term, _order(10_000), DecisionsV1(tier=2))


def test_a_marginal_order_pays_each_level_for_what_lies_in_it() -> None:
    tiers = TiersV1(
        measure="revenue",
        mode="marginal",
        tiers=[
            TierV1(from_amount=_euros(0), pays=RateV1(rate_percent="5")),
            TierV1(from_amount=_euros(10_000), pays=RateV1(rate_percent="10")),
        ],
    )
    term = read_term(_sale("1", tiers=tiers))
    assert isinstance(term, RichTerm)
    assert term.tiers is not None

    levels = levels_of(term.tiers, achieved=14_000, before=8_000, size=6_000)
    found = explain(term, order_of(_order(6_000)), Given(AFFILIATE, levels=levels))

    assert levels == ((0, Fraction(1, 3)), (1, Fraction(2, 3)))
    assert found.price.commission == Money(100 + 400, "EUR")


def test_an_order_beyond_the_months_of_its_customer_earns_nothing_and_says_so() -> None:
    term = _sale("10", recurring_months=1)

    within = _explain(term, _order(10_000, customer_first_at=AT.replace(month=10, hour=9)))
    beyond = _explain(term, _order(10_000, customer_first_at=AT.replace(month=10)))

    assert (within.price.commission.amount_minor, within.nothing) == (1_000, None)
    assert (beyond.price.commission.amount_minor, beyond.nothing) == (0, "recurring_ended")
    assert _paid(_sale("10", recurring_months=0), _order(10_000, customer_first_at=AT.replace(year=2000)))[0] == 1_000
    assert months_after(AT.replace(year=2024, month=1, day=31), 1).day == 29


def test_an_order_in_another_currency_is_converted_before_it_is_rounded() -> None:
    decisions = DecisionsV1(rate=RateUsedV1(base="JPY", quote="EUR", rate="0.0061", source="ecb", as_of="2026-11-23"))

    found = _explain(_sale("10"), _order(1_005, currency="JPY"), decisions).price

    assert found.commission == Money(61, "EUR")  # 1,005 × 0.61 × 10 % = 61.305 cents


def test_the_second_level_is_a_share_of_the_sale_or_of_the_commission() -> None:
    priced = _explain(_sale("10", excludes=["tax"]), _order(1_190, tax=_euros(190)))
    ended = _explain(_sale("10", recurring_months=1), _order(1_000, customer_first_at=AT.replace(year=2025)))

    assert referral_of(Referral(Decimal("1.25"), "sale"), priced) == Money(13, "EUR")
    assert referral_of(Referral(Decimal("25"), "commission"), priced) == Money(25, "EUR")
    assert referral_of(Referral(Decimal("25"), "sale"), ended) == Money(0, "EUR")


@pytest.mark.parametrize(
    "term",
    [
        _sale("60", margin_percent="41", excludes=["tax"]),
        _sale("60", margin_percent="70", margin_mode="on_top"),
        _sale("101"),
        _sale("1000.1", may_exceed_order=True),
        _sale("10", margin_percent="101", margin_mode="of_commission"),
        _sale("10", margin_amount=_euros(1), margin_mode="of_commission"),
        _sale(None, kind="combined", flat_amount=_euros(1)),
        _sale("10", kind="combined"),
        _sale("10", rules=[_rule(1, RateV1(), ("coupon", "in", ["x"]))]),
        _sale("10", rules=[_rule(1, RateV1(rate_percent="1"))]),
        _sale("10", rules=[_rule(1, RateV1(rate_percent="1"), ("weather", "in", ["x"]))]),
        _sale("10", rules=[_rule(1, RateV1(rate_percent="1"), ("coupon", "at_least", ["1"]))]),
        _sale("10", rules=[_rule(1, RateV1(rate_percent="1"), ("order_amount", "at_least", ["-1"]))]),
        _sale("10", rules=[_rule(1, RateV1(rate_percent="1"), ("order_amount", "at_least", ["NaN"]))]),
        _sale("10", rules=[_rule(1, RateV1(rate_percent="1"), ("coupon", "in", ["x"]))] * 2),
        _sale("10", overrides=[OverrideV1(pays=RateV1(rate_percent="1"))]),
        _sale("10", tiers=TiersV1(measure="conversions", mode="step", tiers=[])),
        _sale("10", recurring_months=-1),
    ],
)
def test_a_term_without_sense_is_refused_before_it_prices(term: TermV1) -> None:
    with pytest.raises((PricingImpossible, InvalidValue)):
        read_term(term)


def test_a_price_in_two_currencies_is_refused() -> None:
    with pytest.raises(PricingImpossible):
        _paid(_sale("10", kind="combined", flat_amount=_euros(5, "USD")), _order(1_000))
    with pytest.raises(PricingImpossible):
        _paid(_sale("10", excludes=["tax"]), _order(1_000, tax=_euros(5, "USD")))


@MANY
@given(seeds)
def test_any_term_prices_any_order_as_found_by_another_road(seed: int) -> None:
    term, event, decisions = case_of(seed)
    try:
        rich = read_term(term)
    except PricingImpossible:
        assert not term.may_exceed_order  # the only sense that a generated term may lack
        return

    found = explain(rich, order_of(event), given_of(AFFILIATE, decisions))

    paid = found.price.commission.amount_minor, found.price.margin.amount_minor
    assert paid == oracle(term, event, decisions)
    assert all(type(amount) is int for amount in paid)
    if found.base is not None and all(each.part.base is not None for each in found.parts):
        assert sum(each.part.base or 0 for each in found.parts) == found.base


@SOME
@given(seeds, st.lists(st.integers(0, 1_000), min_size=1, max_size=10), st.integers(0, 10), st.booleans())
def test_a_chain_of_refunds_ends_as_if_priced_once_at_the_last_net(
    seed: int, left: list[int], approved_from: int, is_reversed: bool
) -> None:
    term, first, decisions = case_of(seed)
    term = msgspec.structs.replace(term, may_exceed_order=True)
    assert first.order_amount is not None
    ordered = first.order_amount
    nets = [1_000, *sorted(left, reverse=True)]
    events = [
        msgspec.structs.replace(
            first,
            version=n + 1,
            status="approved" if n >= approved_from else "pending",
            net_amount=_euros(ordered.amount_minor * share // 1_000, ordered.currency),
            event_id=conversion(n + 1).event_id,
        )
        for n, share in enumerate(nets)
    ]
    if is_reversed:
        nothing = _euros(0, ordered.currency)
        events.append(conversion(len(events) + 1, "reversed", order_amount=ordered, net_amount=nothing))

    balances, again = _post(term, events, decisions), _post(term, events, decisions)

    commission, margin = (0, 0) if is_reversed else oracle(term, events[-1], decisions)
    account = f"affiliate_{'payable' if events[-1].status == 'approved' else 'pending'}:2"
    expected = {"merchant_receivable:7": commission + margin, account: -commission, "network_margin": -margin}
    assert balances == again == {name: amount for name, amount in expected.items() if amount}


def _post(term: TermV1, events: list[ConversionChangedV1], decisions: DecisionsV1) -> dict[str, int]:
    """Balances after all of them, each transaction summing to zero per currency."""
    offer_version = OfferVersion(1, 3, {"sale": PricedTerm(read_term(term), term)}, hold_days=0)
    standing, sums = None, Counter[str]()
    for event in events:
        version = ConversionVersion(event, encode_event(event))
        applied = apply_version(standing, credit_version(version, offer_version), decisions)
        standing = applied.standing
        for posted in applied.posted:
            by_currency = Counter[str]()
            for entry in posted.transaction.entries:
                by_currency[entry.currency] += entry.amount_minor
                sums[str(entry.account)] += entry.amount_minor
            assert not any(by_currency.values())
    return {account: amount for account, amount in sums.items() if amount}


@SOME
@given(seeds)
def test_the_order_in_which_rules_are_written_changes_nothing(seed: int) -> None:
    term, event, decisions = case_of(seed)
    term = msgspec.structs.replace(term, may_exceed_order=True)
    shuffled = msgspec.structs.replace(term, rules=Random(seed).sample(term.rules, len(term.rules)))

    assert _explain(shuffled, event, decisions) == _explain(term, event, decisions)


@SOME
@given(
    st.decimals(0, 60, places=6), st.decimals(0, 40, places=6), st.integers(0, 10**12), st.integers(0, 10**12),
    st.sampled_from(["EUR", "JPY", "KWD"]),
)  # fmt: skip
def test_a_simple_term_prices_the_same_by_the_short_and_by_the_general_way(
    rate: Decimal, margin: Decimal, ordered: int, net: int, currency: str
) -> None:
    event = _order(ordered, net, currency)
    flat = FlatTerm(Money(ordered % 10_000, "USD"), Money(net % 100, "USD"))

    for term in (PercentageTerm(rate, margin), flat):
        order = order_of(event)
        short = price(term, ordered=order.ordered, net=order.net)
        assert explain(term, order, Given(AFFILIATE)).price == short
        assert explain(general(term), order, Given(AFFILIATE)).price == short


@SOME
@given(
    st.integers(0, 10**9), st.decimals(0, 100, places=6), st.decimals(0, 100, places=6), st.integers(0, 10**6)
)  # fmt: skip
def test_what_the_network_keeps_and_what_the_affiliate_gets_are_the_whole(
    net: int, rate: Decimal, kept: Decimal, flat: int
) -> None:
    term = _sale(
        f"{rate:f}",
        kind="combined",
        flat_amount=_euros(flat),
        margin_percent=f"{kept:f}",
        margin_mode="of_commission",
        may_exceed_order=True,
    )

    commission, margin = _paid(term, _order(net))

    exact = net * Fraction(rate) / 100 + flat
    assert commission + margin == int(exact + Fraction(1, 2))
    assert abs(margin - exact * Fraction(kept) / 100) <= 1


@SOME
@given(st.sets(st.integers(1, 40), max_size=4), st.integers(0, 60), st.integers(1, 30))
def test_an_order_lies_in_the_levels_that_its_pieces_lie_in(starts: set[int], before: int, size: int) -> None:
    tiers = TiersV1(
        measure="conversions",
        mode="marginal",
        tiers=[TierV1(from_count=start, pays=RateV1(rate_percent="1")) for start in (0, *sorted(starts))],
    )
    term = read_term(_sale("1", tiers=tiers))
    assert isinstance(term, RichTerm)
    assert term.tiers is not None

    shares = spread(term.tiers, before=before, size=size)

    pieces = Counter(sum(start <= piece for start in starts) for piece in range(before, before + size))
    assert {level: share * size for level, share in shares} == pieces
    assert sum(share for _, share in shares) == 1
    assert level_at(term.tiers, before) == min(pieces)
