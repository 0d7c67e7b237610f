"""Affiliates see what they earn themselves."""

from decimal import Decimal

from services.gateway.api.term_answers import TermAnswer
from services.gateway.domain.term_sight import AffiliateSight
from services.gateway.domain.terms import Condition, Override, Rate, Rule, Term, Tier, Tiers
from shared.kernel.money import Money

RULE = Rule(
    rank=1,
    name="r",
    conditions=(Condition(fact="sku", holds="in", values=("a",)),),
    pays=Rate(rate_percent=Decimal(20), margin_percent=Decimal(7)),
)
TERM = Term(
    event="sale",
    kind="combined",
    rate_percent=Decimal(10),
    margin_percent=Decimal(3),
    flat_amount=Money(101, "EUR"),
    margin_amount=Money(50, "EUR"),
    rules=(RULE,),
    tiers=Tiers(measure="conversions", mode="step", tiers=(Tier(pays=RULE.pays, from_count=0),)),
    overrides=(
        Override(affiliate_id=7, pays=Rate(rate_percent=Decimal(11), margin_amount=Money(1, "EUR")), rules=(RULE,)),
        Override(affiliate_id=8, pays=Rate(rate_percent=Decimal(12))),
        Override(group="gold", pays=Rate(rate_percent=Decimal(13))),
        Override(group="secret", pays=Rate(rate_percent=Decimal(14))),
    ),
)


def test_its_own_override_and_its_groups_and_no_others() -> None:
    seen = AffiliateSight(7, frozenset({"gold"})).of(TERM)

    assert [(o.affiliate_id, o.group) for o in seen.overrides] == [(7, None), (None, "gold")]
    assert AffiliateSight(9, frozenset()).of(TERM).overrides == ()


def test_no_margin_anywhere() -> None:
    shown = TermAnswer.of(AffiliateSight(7, frozenset({"gold"})).of(TERM), with_margin=False)

    assert _margins(shown.model_dump()) == [None] * len(_margins(shown.model_dump()))
    assert len(_margins(shown.model_dump())) > 10


def test_where_the_network_keeps_a_part_it_sees_the_rest() -> None:
    kept = Term(
        event="sale",
        kind="combined",
        rate_percent=Decimal(10),
        flat_amount=Money(101, "EUR"),
        margin_percent=Decimal(30),
        margin_mode="of_commission",
        rules=(RULE,),
    )

    seen = AffiliateSight(7, frozenset()).of(kept)

    assert (seen.rate_percent, seen.flat_amount) == (Decimal(7), Money(71, "EUR"))
    assert seen.rules[0].pays.rate_percent == Decimal("18.6")


def _margins(node: object) -> list[object]:
    if isinstance(node, list):
        return [found for each in node for found in _margins(each)]
    if not isinstance(node, dict):
        return []
    return [v for k, v in node.items() if k.startswith("margin")] + [f for v in node.values() for f in _margins(v)]
