"""Any term against a price found by another road, and what holds for all of them."""

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.commissions.domain.catalogue import OfferVersion, PricedTerm
from services.commissions.domain.orders import order_of
from services.commissions.domain.postings import apply_version
from services.commissions.domain.pricing import explain, given_of
from services.commissions.domain.read_terms import read_term
from services.commissions.domain.rules import Given
from services.commissions.domain.terms import (
    FlatTerm,
    PercentageTerm,
    PricingImpossible,
    RichTerm,
    general,
    price,
)
from services.commissions.domain.tiers import level_at, spread
from services.commissions.usecases.apply_conversions import credit_version
from services.commissions.usecases.write_posting import ConversionVersion
from shared.contracts.catalogue import (
    RateV1,
    TermV1,
    TiersV1,
    TierV1,
)
from shared.contracts.commissions import DecisionsV1
from shared.contracts.conversions import ConversionChangedV1
from shared.contracts.events import encode_event
from shared.kernel.money import Money
from tests.factories.terms import AFFILIATE, an_order, case_of, conversion, euros, explained, paid_for, sale
from tests.unit.commissions.pricing_oracle import oracle

# Together more than 10,000 generated cases.
MANY: Final = settings(max_examples=5_000, deadline=None)
SOME: Final = settings(max_examples=1_500, deadline=None)
seeds = st.integers(0, 2**64 - 1)


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
            net_amount=euros(ordered.amount_minor * share // 1_000, ordered.currency),
            event_id=conversion(n + 1).event_id,
        )
        for n, share in enumerate(nets)
    ]
    if is_reversed:
        nothing = euros(0, ordered.currency)
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

    assert explained(shuffled, event, decisions) == explained(term, event, decisions)


@SOME
@given(
    st.decimals(0, 60, places=6), st.decimals(0, 40, places=6), st.integers(0, 10**12), st.integers(0, 10**12),
    st.sampled_from(["EUR", "JPY", "KWD"]),
)  # fmt: skip
def test_a_simple_term_prices_the_same_by_the_short_and_by_the_general_way(
    rate: Decimal, margin: Decimal, ordered: int, net: int, currency: str
) -> None:
    event = an_order(ordered, net, currency)
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
    term = sale(
        f"{rate:f}",
        kind="combined",
        flat_amount=euros(flat),
        margin_percent=f"{kept:f}",
        margin_mode="of_commission",
        may_exceed_order=True,
    )

    commission, margin = paid_for(term, an_order(net))

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
    term = read_term(sale("1", tiers=tiers))
    assert isinstance(term, RichTerm)
    assert term.tiers is not None

    shares = spread(term.tiers, before=before, size=size)

    pieces = Counter(sum(start <= piece for start in starts) for piece in range(before, before + size))
    assert {level: share * size for level, share in shares} == pieces
    assert sum(share for _, share in shares) == 1
    assert level_at(term.tiers, before) == min(pieces)
