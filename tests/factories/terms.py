"""Makes terms of every kind, the orders they price, and what is decided beside them: as events carry them.

From a seed by `Random`, not drawn piece by piece: ten thousand cases take seconds, and a failure names its seed.
"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from services.commissions.domain.orders import order_of
from services.commissions.domain.pricing import Explanation, explain, given_of
from services.commissions.domain.read_terms import read_term
from shared.contracts.catalogue import ConditionV1, MoneyV1, OverrideV1, RateV1, RuleV1, TermV1, TiersV1, TierV1
from shared.contracts.commissions import DecisionsV1
from shared.contracts.conversions import ConversionChangedV1, LineItemV1
from shared.kernel.ids import derived_id

CONVERSION, AFFILIATE, AT = UUID(int=7), 2, datetime(2026, 11, 24, 8, tzinfo=UTC)
Case = tuple[TermV1, ConversionChangedV1, DecisionsV1]

_FACTS = ["coupon", "country", "customer_status", "source", "sub1", "category", "sku", "order_amount"]
_WORDS = ["a", "b", "C"]


def case_of(seed: int) -> Case:
    """A term with anything that a term may have, an order that it prices, and decisions."""
    random = Random(seed)
    currency = random.choice(["EUR", "JPY", "KWD"])
    decided = DecisionsV1(tier=random.choice([None, 0]), groups=random.choice([[], ["gold"], ["silver", "gold"]]))
    return _term(random, currency), _order(random, currency), decided


def conversion(version: int, status: str = "pending", **fields: Any) -> ConversionChangedV1:
    """A version of the conversion of all these orders, of affiliate 2 on offer 1, version 3."""
    return ConversionChangedV1(
        event_id=derived_id(CONVERSION, f"v{version}"),
        occurred_at=AT + timedelta(minutes=version),
        conversion_id=str(CONVERSION),
        version=version,
        change="recorded",
        status=status,  # type: ignore[arg-type]
        merchant_id=7,
        conversion_event="sale",
        first_received_at=AT,
        offer_id=1,
        offer_version=3,
        affiliate_id=AFFILIATE,
        **fields,
    )


def euros(minor: int, currency: str = "EUR") -> MoneyV1:
    """Minor units of EUR, or of another currency."""
    return MoneyV1(amount_minor=minor, currency=currency)


def an_order(minor: int | None, net: int | None = None, currency: str = "EUR", **facts: Any) -> ConversionChangedV1:
    """An order worth `minor`, of which `net` is left, with any fact of a conversion."""
    ordered = None if minor is None else euros(minor, currency)
    left = ordered if net is None else euros(net, currency)
    return conversion(1, order_amount=ordered, net_amount=left, **facts)


def explained(term: TermV1, event: ConversionChangedV1, decisions: DecisionsV1 | None = None) -> Explanation:
    """The price of an order under a term, with how it came about."""
    return explain(read_term(term), order_of(event), given_of(AFFILIATE, decisions or DecisionsV1()))


def paid_for(term: TermV1, event: ConversionChangedV1, decisions: DecisionsV1 | None = None) -> tuple[int, int]:
    """Commission and margin of an order under a term, in minor units."""
    found = explained(term, event, decisions).price
    return found.commission.amount_minor, found.margin.amount_minor


def sale(rate_percent: str | None = "10", **fields: Any) -> TermV1:
    """A term for sales: a percentage where nothing else is said."""
    return TermV1(event="sale", kind=fields.pop("kind", "percentage"), rate_percent=rate_percent, **fields)


def a_rule(rank: int, pays: RateV1, *conditions: tuple[str, str, list[str]]) -> RuleV1:
    """A rule; conditions as (fact, holds, values)."""
    kept = [ConditionV1(fact=fact, holds=holds, values=values) for fact, holds, values in conditions]  # type: ignore[arg-type]
    return RuleV1(rank=rank, name=f"rule {rank}", conditions=kept, pays=pays)


def _term(random: Random, currency: str) -> TermV1:
    mode = random.choice(["of_order", "of_commission", "on_top"])
    kind = random.choice(["percentage", "flat", "combined"])
    overridden: list[dict[str, Any]] = random.choice(
        [[], [], [{"affiliate_id": 3}, {"group": "gold"}], [{"affiliate_id": 2}]]
    )
    return TermV1(
        event="sale",
        kind=kind,  # type: ignore[arg-type]
        rate_percent=_percent(random) if kind != "flat" else None,
        flat_amount=_amount(random, currency) if kind != "percentage" else None,
        margin_percent=_maybe(random, _percent(random)),
        margin_amount=_maybe(random, _amount(random, currency)) if mode != "of_commission" else None,
        margin_mode=mode,  # type: ignore[arg-type]
        excludes=random.sample(["tax", "shipping", "discount"], random.randint(0, 3)),
        rules=_rules(random, currency, mode),
        tiers=_maybe(random, _tiers(random, currency, mode)),
        overrides=[
            OverrideV1(pays=_rate(random, currency, mode), rules=_rules(random, currency, mode), **whose)
            for whose in overridden
        ],
        recurring_months=random.choice([None, None, 0, 1, 12]),
        may_exceed_order=random.random() < 0.5,
    )


def _rate(random: Random, currency: str, mode: str) -> RateV1:
    pays = random.choice(["share", "amount", "both"])
    return RateV1(
        rate_percent=_percent(random) if pays != "amount" else None,
        flat_amount=_amount(random, currency) if pays != "share" else None,
        margin_percent=_maybe(random, _percent(random)),
        margin_amount=_maybe(random, _amount(random, currency)) if mode != "of_commission" else None,
    )


def _rules(random: Random, currency: str, mode: str) -> list[RuleV1]:
    return [
        RuleV1(
            rank=rank,
            name=f"rule {rank}",
            conditions=[_condition(random) for _ in range(random.randint(1, 2))],
            pays=_rate(random, currency, mode),
        )
        for rank in random.sample(range(1, 10), random.randint(0, 3))
    ]


def _condition(random: Random) -> ConditionV1:
    fact = random.choice(_FACTS)
    if fact == "order_amount":
        currency = random.choice([None, "EUR", "JPY"])
        holds, bound = random.choice(["at_least", "below"]), str(random.randint(0, 40))
        return ConditionV1(fact=fact, holds=holds, values=[bound], currency=currency)  # type: ignore[arg-type]
    holds = random.choice(["in", "in", "not_in"])
    return ConditionV1(fact=fact, holds=holds, values=random.sample(_WORDS, random.randint(1, 2)))  # type: ignore[arg-type]


def _tiers(random: Random, currency: str, mode: str) -> TiersV1:
    starts = [0, *sorted(random.sample(range(1, 10), random.randint(0, 2)))]
    tiers = [TierV1(from_count=start, pays=_rate(random, currency, mode)) for start in starts]
    return TiersV1(measure="conversions", mode="step", tiers=tiers)


def _order(random: Random, currency: str) -> ConversionChangedV1:
    ordered = random.choice([random.randint(0, 50), random.randint(0, 5_000), random.randint(0, 10**9)])
    count = random.randint(0, 3)
    days = random.choice([None, None, 0, 29, 30, 31, 365, 366])

    def part() -> Any:
        return _maybe(random, MoneyV1(amount_minor=random.randint(0, ordered // 2), currency=currency))

    def line() -> LineItemV1:
        amount = MoneyV1(amount_minor=random.randint(0, ordered // count), currency=currency)
        return LineItemV1(
            sku=_maybe(random, random.choice(_WORDS)),
            category=_maybe(random, random.choice(_WORDS)),
            quantity=random.randint(1, 3),
            amount=amount if random.random() < 0.9 else None,
        )

    return conversion(
        1,
        order_amount=MoneyV1(amount_minor=ordered, currency=currency),
        net_amount=MoneyV1(amount_minor=ordered, currency=currency),
        coupon=_maybe(random, random.choice(_WORDS)),
        country=_maybe(random, random.choice(_WORDS)),
        customer_status=_maybe(random, random.choice(_WORDS)),
        source=_maybe(random, random.choice(_WORDS)),
        subs=random.choice([{}, {"sub1": "a"}, {"sub1": "c"}]),
        tax=part(),
        shipping=part(),
        discount=part(),
        customer_first_at=None if days is None else AT - timedelta(days=days),
        quantity=random.choice([1, 1, 1, 250]),
        items=[line() for _ in range(count)],
    )


def _maybe(random: Random, value: Any) -> Any:
    return value if random.random() < 0.5 else None


def _percent(random: Random) -> str:
    return random.choice(["0", "2.9", "10", "50", f"{random.randint(0, 59)}.{random.randint(0, 999_999):06}"])


def _amount(random: Random, currency: str) -> MoneyV1:
    return MoneyV1(amount_minor=random.choice([0, 1, random.randint(0, 2_000)]), currency=currency)
