"""What rich terms may say, and which field is named where they may not."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from services.gateway.domain.cap_rules import check_caps_stay
from services.gateway.domain.offer_rules import read_version
from services.gateway.domain.refusals import CatalogueConflict
from services.gateway.domain.term_drafts import (
    CapDraft,
    ConditionDraft,
    OverrideDraft,
    RateDraft,
    ReferralDraft,
    RuleDraft,
    TermDraft,
    TierDraft,
    TiersDraft,
)
from services.gateway.domain.terms import Cap, Term
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money
from tests.unit.gateway.test_offer_rules import GOOD

FLAT = TermDraft(event="lead", kind="flat", amount=("5.00", "EUR"), margin=("0.50", "EUR"))
SHARE = TermDraft(event="sale", kind="percentage", rate_percent="10", margin_percent="2")
BOTH = TermDraft(event="sale", kind="combined", rate_percent="10", amount=("1.00", "EUR"))
CLICK = TermDraft(event="click", kind="flat", amount=("0.05", "EUR"))
EIGHT = RateDraft(rate_percent="8")
NEW = ConditionDraft(fact="customer_status", holds="in", values=["new"])
LARGE = ConditionDraft(fact="order_amount", holds="at_least", values=["100"])
RULE = RuleDraft(rank=1, name="new customers", conditions=[NEW], pays=EIGHT)
OVERRIDE = OverrideDraft(affiliate_id=7, pays=EIGHT)
CAP = CapDraft(name="november", scope="offer", period="month", amount=("1000.00", "EUR"))


def _tiers(*starts: object, measure: Any = "conversions", pays: RateDraft = EIGHT) -> TiersDraft:
    tiers = [
        TierDraft(pays=pays, from_count=start) if isinstance(start, int) else TierDraft(pays=pays, from_amount=start)  # type: ignore[arg-type]
        for start in starts
    ]
    return TiersDraft(measure=measure, mode="step", tiers=tiers)


def _rule(**changes: Any) -> TermDraft:
    return replace(SHARE, rules=[replace(RULE, **changes)])


def _asking(*conditions: ConditionDraft, term: TermDraft = SHARE) -> TermDraft:
    return replace(term, rules=[replace(RULE, conditions=conditions)])


def _read(*terms: TermDraft, caps: Any = (), pays_in: str | None = None) -> Term:
    draft = replace(GOOD, terms=terms, caps=caps, pays_in=pays_in)
    return read_version(draft, allow_loopback_http=False).terms[0]


REFUSED: list[tuple[TermDraft, str, str]] = [
    (replace(SHARE, rules=[RULE, replace(RULE, name="b")]), "rules.1.rank", "rank_repeated"),
    (replace(SHARE, rules=[RULE, replace(RULE, name="b", rank=None)]), "rules.1.rank", "rank_missing"),
    (replace(SHARE, rules=[replace(RULE, rank=None), replace(RULE, name="b")]), "rules.0.rank", "rank_missing"),
    (replace(SHARE, rules=[RULE, replace(RULE, rank=2)]), "rules.1.name", "name_repeated"),
    (replace(SHARE, rules=[replace(RULE, rank=n, name=str(n)) for n in range(1, 52)]), "rules", "too_many"),
    (_rule(rank=0), "rules.0.rank", "out_of_range"),
    (_rule(conditions=[]), "rules.0.conditions", "too_few"),
    (_rule(conditions=[NEW, NEW]), "rules.0.conditions.1", "condition_repeated"),
    (_rule(pays=RateDraft()), "rules.0.pays", "rate_empty"),
    (_rule(pays=RateDraft(rate_percent="99")), "rules.0.pays.rate_percent", "rates_over_100"),
    (_rule(pays=RateDraft(rate_percent="8", margin_percent="93")), "rules.0.pays.margin_percent", "rates_over_100"),
    (_rule(pays=RateDraft(rate_percent="1001")), "rules.0.pays.rate_percent", "rate_invalid"),
    (_asking(replace(NEW, fact="weather")), "rules.0.conditions.0.fact", "fact_unknown"),
    (_asking(replace(NEW, fact="sub11")), "rules.0.conditions.0.fact", "fact_unknown"),
    (_asking(replace(NEW, holds="at_least")), "rules.0.conditions.0.holds", "holds_unknown_for_fact"),
    (_asking(replace(NEW, values=[])), "rules.0.conditions.0.values", "too_few"),
    (_asking(replace(NEW, values=["new", "new"])), "rules.0.conditions.0.values.1", "value_repeated"),
    (_asking(replace(NEW, values=["loyal"])), "rules.0.conditions.0.values.0", "customer_status_unknown"),
    (_asking(replace(NEW, fact="sku", values=[" "])), "rules.0.conditions.0.values.0", "value_length"),
    (_asking(replace(NEW, fact="sku", values=["x" * 256])), "rules.0.conditions.0.values.0", "value_length"),
    (_asking(replace(NEW, fact="sku", values=[str(n) for n in range(201)])), "rules.0.conditions.0.values", "too_many"),
    (_asking(replace(NEW, fact="country", values=["de"])), "rules.0.conditions.0.values.0", "country_malformed"),
    (_asking(LARGE), "rules.0.conditions.0.currency", "currency_missing"),
    (_asking(replace(LARGE, currency="EURO")), "rules.0.conditions.0.currency", "currency_unknown"),
    (_asking(replace(LARGE, currency="USD"), term=BOTH), "rules.0.conditions.0.currency", "currency_mismatch"),
    (_asking(replace(NEW, currency="EUR")), "rules.0.conditions.0.currency", "not_of_this_fact"),
    (_asking(replace(LARGE, holds="in"), term=BOTH), "rules.0.conditions.0.holds", "holds_unknown_for_fact"),
    (_asking(replace(LARGE, values=["1", "2"]), term=BOTH), "rules.0.conditions.0.values", "too_many"),
    (_asking(replace(LARGE, values=["1e3"]), term=BOTH), "rules.0.conditions.0.values.0", "amount_malformed"),
    (_asking(replace(LARGE, values=["0.001"]), term=BOTH), "rules.0.conditions.0.values.0", "amount_too_precise"),
    (_asking(LARGE, replace(LARGE, holds="below"), term=BOTH), "rules.0.conditions", "conditions_empty"),
    (replace(SHARE, tiers=_tiers()), "tiers.tiers", "too_few"),
    (replace(SHARE, tiers=_tiers(*range(21))), "tiers.tiers", "too_many"),
    (replace(SHARE, tiers=_tiers(1)), "tiers.tiers.0.from_count", "tiers_not_from_zero"),
    (replace(SHARE, tiers=_tiers(0, 5, 5)), "tiers.tiers.2.from_count", "tiers_not_ascending"),
    (replace(SHARE, tiers=_tiers(0, ("5", "EUR"))), "tiers.tiers.1.from_amount", "not_of_this_measure"),
    (replace(SHARE, tiers=_tiers(0, measure="revenue")), "tiers.tiers.0.from_count", "not_of_this_measure"),
    (replace(SHARE, tiers=TiersDraft(measure="conversions", mode="step", tiers=[TierDraft(pays=EIGHT)])),
     "tiers.tiers.0.from_count", "missing"),
    (replace(SHARE, tiers=_tiers(("0", "EUR"), ("9", "USD"), measure="revenue")),
     "tiers.tiers.1.from_amount.currency", "currency_mismatch"),
    (replace(BOTH, tiers=_tiers(0, pays=RateDraft(amount=("1", "USD")))),
     "tiers.tiers.0.pays.amount.currency", "currency_mismatch"),
    (replace(SHARE, tiers=_tiers(0, pays=RateDraft(rate_percent="100"))),
     "tiers.tiers.0.pays.rate_percent", "rates_over_100"),
    (replace(SHARE, overrides=[replace(OVERRIDE, group="gold")]), "overrides.0", "override_names_one"),
    (replace(SHARE, overrides=[replace(OVERRIDE, affiliate_id=None)]), "overrides.0", "override_names_one"),
    (replace(SHARE, overrides=[OVERRIDE, OVERRIDE]), "overrides.1.affiliate_id", "override_repeated"),
    (replace(SHARE, overrides=[OverrideDraft(group="gold", pays=EIGHT)] * 2), "overrides.1.group", "override_repeated"),
    (replace(SHARE, overrides=[OverrideDraft(group="Gold!", pays=EIGHT)]), "overrides.0.group", "group_malformed"),
    (replace(SHARE, overrides=[replace(OVERRIDE, affiliate_id=n) for n in range(1, 502)]), "overrides", "too_many"),
    (replace(SHARE, overrides=[replace(OVERRIDE, rules=[RULE, RULE])]), "overrides.0.rules.1.rank", "rank_repeated"),
    (replace(SHARE, overrides=[replace(OVERRIDE, pays=RateDraft(rate_percent="98.5"))]),
     "overrides.0.pays.rate_percent", "rates_over_100"),
    (replace(SHARE, referral=ReferralDraft(rate_percent="101", of="sale")), "referral.rate_percent", "rate_invalid"),
    (replace(SHARE, rate_percent="90", referral=ReferralDraft(rate_percent="9", of="sale")),
     "rate_percent", "rates_over_100"),
    (replace(SHARE, rate_percent="100.000001", margin_percent="0"), "rate_percent", "rates_over_100"),
    (replace(SHARE, margin_mode="on_top", rate_percent="60", margin_percent="70"), "margin_percent", "rates_over_100"),
    (replace(SHARE, margin_mode="of_commission", margin_percent="101", may_exceed_order=True),
     "margin_percent", "margin_over_100"),
    (replace(SHARE, margin_mode="of_commission", margin_percent=None), "margin_percent", "missing"),
    (replace(FLAT, margin_mode="of_commission", margin_percent="1"), "margin", "not_of_this_kind"),
    (replace(FLAT, margin_mode="on_top", margin_percent="101"), "margin_percent", "rates_over_100"),
    (replace(SHARE, rate_percent="1001", may_exceed_order=True), "rate_percent", "rate_invalid"),
    (replace(BOTH, margin_mode="of_commission", margin_percent="5", rules=[replace(RULE, pays=RateDraft(
        amount=("1", "EUR"), margin=("1", "EUR")))]), "rules.0.pays.margin", "not_of_this_margin_mode"),
    (replace(BOTH, amount=None), "amount", "missing"),
    (replace(BOTH, rate_percent=None), "rate_percent", "missing"),
    (replace(SHARE, excludes=["tax", "tax"]), "excludes.1", "part_repeated"),
    (replace(SHARE, excludes=["gift"]), "excludes.0", "word_unknown"),  # type: ignore[list-item]
    (replace(SHARE, recurring_months=121), "recurring_months", "out_of_range"),
    (replace(SHARE, recurring_months=-1), "recurring_months", "out_of_range"),
    (replace(SHARE, event="click"), "kind", "not_of_clicks"),
    (replace(CLICK, recurring_months=1), "recurring_months", "not_of_clicks"),
    (replace(CLICK, rules=[RULE]), "rules.0.pays.rate_percent", "not_of_clicks"),
]  # fmt: skip


@pytest.mark.parametrize(("draft", "field", "code"), REFUSED, ids=[f"{f}-{c}" for _, f, c in REFUSED])
def test_what_breaks_a_rule_is_named(draft: TermDraft, field: str, code: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        _read(draft)

    assert (refusal.value.field, refusal.value.code) == (f"terms.0.{field}", code)


@pytest.mark.parametrize(
    ("term", "caps", "pays_in", "field", "code"),
    [
        (FLAT, [replace(CAP, count=5)], None, "caps.0", "cap_measures_one"),
        (FLAT, [replace(CAP, amount=None)], None, "caps.0", "cap_measures_one"),
        (FLAT, [CAP, CAP], None, "caps.1.name", "name_repeated"),
        (FLAT, [replace(CAP, name="")], None, "caps.0.name", "cap_name_malformed"),
        (FLAT, [replace(CAP, event="sale")], None, "caps.0.event", "event_unknown"),
        (FLAT, [replace(CAP, amount=("5", "USD"))], None, "caps.0.amount.currency", "currency_mismatch"),
        (FLAT, [replace(CAP, amount=("0", "EUR"))], None, "caps.0.amount.amount", "cap_empty"),
        (FLAT, [replace(CAP, amount=None, count=0)], None, "caps.0.count", "out_of_range"),
        (FLAT, [replace(CAP, name=f"cap-{n}") for n in range(21)], None, "caps", "too_many"),
        (BOTH, [], None, "pays_in", "pays_in_missing"),
        (_rule(pays=RateDraft(amount=("5", "EUR"))), [], None, "pays_in", "pays_in_missing"),
        (SHARE, [CAP], None, "caps.0.amount.currency", "currency_missing"),
        (SHARE, [CAP], "USD", "caps.0.amount.currency", "currency_mismatch"),
        (SHARE, [], "EURO", "pays_in", "currency_unknown"),
        (FLAT, [], "USD", "terms.0.amount.currency", "currency_mismatch"),
    ],
)
def test_caps_and_the_currency_are_judged(
    term: TermDraft, caps: list[CapDraft], pays_in: str | None, field: str, code: str
) -> None:
    with pytest.raises(InvalidValue) as refusal:
        _read(term, caps=caps, pays_in=pays_in)

    assert (refusal.value.field, refusal.value.code) == (field, code)


@pytest.mark.parametrize("draft", [SHARE, BOTH, FLAT, replace(SHARE, margin_mode="on_top")])
def test_at_the_limits_all_is_well(draft: TermDraft) -> None:
    currency = "EUR"
    rules = [replace(RULE, rank=n, name=str(n)) for n in range(1, 51)]
    overrides = [replace(OVERRIDE, affiliate_id=n) for n in range(1, 501)]
    asks = ConditionDraft(fact="sku", holds="not_in", values=[str(n) for n in range(200)])
    rules[0] = replace(rules[0], conditions=[asks, LARGE, replace(LARGE, holds="below", values=["100.01"])])
    full = replace(draft, rules=rules, overrides=overrides, tiers=_tiers(*range(20)), recurring_months=120)

    term = _read(full, caps=[replace(CAP, name=f"cap-{n}") for n in range(20)], pays_in=currency)

    assert (len(term.rules), len(term.overrides), term.recurring_months) == (50, 500, 120)
    assert [c.values[0] for c in term.rules[0].conditions[1:]] == ["100.00", "100.01"]


def test_one_hundred_percent_is_allowed_and_more_with_its_flag() -> None:
    whole = _read(replace(SHARE, rate_percent="98"))
    more = _read(replace(SHARE, rate_percent="250", may_exceed_order=True))

    assert (whole.rate_percent, more.rate_percent) == (Decimal(98), Decimal(250))


def test_a_single_rule_needs_no_rank_and_several_stand_by_theirs() -> None:
    alone = _read(_rule(rank=None))
    several = _read(replace(SHARE, rules=[replace(RULE, rank=9), replace(RULE, rank=2, name="b")]))

    assert [rule.rank for rule in alone.rules] == [1]
    assert [rule.rank for rule in several.rules] == [2, 9]


def test_a_cap_counts_the_same_in_every_version_and_may_allow_more() -> None:
    before = Cap(name="a", scope="offer", period="day", amount=Money(500, "EUR"))

    check_caps_stay([replace(before, amount=Money(900, "EUR"))], [before])
    for other in (
        replace(before, scope="affiliate"),
        replace(before, period="month"),
        replace(before, event="sale"),
        replace(before, amount=Money(500, "USD")),
        replace(before, amount=None, count=5),
    ):
        with pytest.raises(CatalogueConflict):
            check_caps_stay([other], [before])
