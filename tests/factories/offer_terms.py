"""Good terms, as POST /v1/offers takes them: generated ones of every shape, and one of each shape to look at."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from shared.kernel.money import Money

_TEXT_FACTS = ("coupon", "source", "category", "sku", "sub1", "sub10")
_WORDS = st.text("abcdefghij ÄßШ-_", min_size=1, max_size=12).map(str.strip).filter(bool)
_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=32)
_KNOWN = {"country": st.sampled_from(["DE", "FR", "JP"]), "customer_status": st.sampled_from(["new", "returning"])}
_CURRENCIES = st.sampled_from(["EUR", "USD", "JPY", "KWD"])


def money(currency: str, *, least: int = 0, most: int = 10**9) -> st.SearchStrategy[dict[str, str]]:
    """An amount as the API spells it."""
    amounts = st.integers(least, most)
    return amounts.map(lambda minor: {"amount": Money(minor, currency).decimal_text(), "currency": currency})


def _some(choices: Sequence[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(choices), unique=True)


def percents(most: int) -> st.SearchStrategy[str]:
    """A percentage with up to six decimals, without needless zeros."""
    return st.integers(0, most * 10**6).map(lambda n: f"{(Decimal(n) / 10**6).normalize():f}")


@st.composite
def rates(draw: st.DrawFn, currency: str, *, adds_margin: bool, may_percent: bool = True) -> dict[str, Any]:
    """What a rule, a tier or an override pays."""
    has_percent = may_percent and draw(st.booleans())
    rate: dict[str, Any] = {"rate_percent": draw(percents(40))} if has_percent else {}
    if not has_percent or draw(st.booleans()):
        rate["amount"] = draw(money(currency))
    if draw(st.booleans()):
        rate["margin_percent"] = draw(percents(20))
    if adds_margin and draw(st.booleans()):
        rate["margin"] = draw(money(currency))
    return rate


@st.composite
def conditions(draw: st.DrawFn, currency: str) -> list[dict[str, Any]]:
    """What must hold."""
    kinds = draw(st.lists(st.sampled_from([*_TEXT_FACTS, "country", "customer_status", "order_amount"]), min_size=1,
                          max_size=4, unique=True))  # fmt: skip
    found = list[dict[str, Any]]()
    for fact in kinds:
        if fact == "order_amount":
            least = draw(st.integers(0, 10**6))
            for holds, minor in (("at_least", least), ("below", least + draw(st.integers(1, 10**6)))):
                found.append(
                    {
                        "fact": fact,
                        "holds": holds,
                        "values": [Money(minor, currency).decimal_text()],
                        "currency": currency,
                    }
                )
            continue
        known = {
            "country": st.sampled_from(["DE", "FR", "JP"]),
            "customer_status": st.sampled_from(["new", "returning"]),
        }
        values = draw(st.lists(known.get(fact, _WORDS), min_size=1, max_size=3, unique=True))
        found.append({"fact": fact, "holds": draw(st.sampled_from(["in", "not_in"])), "values": values})
    return found


@st.composite
def rule_lists(draw: st.DrawFn, currency: str, *, adds_margin: bool, may_percent: bool = True) -> list[dict[str, Any]]:
    """Rules in the order of their ranks."""
    ranks = sorted(draw(st.sets(st.integers(1, 1_000), max_size=3)))
    pays = rates(currency, adds_margin=adds_margin, may_percent=may_percent)
    return [
        {"rank": rank, "name": f"rule {rank}", "conditions": draw(conditions(currency)), "pays": draw(pays)}
        for rank in ranks
    ]


@st.composite
def tier_tables(draw: st.DrawFn, currency: str, *, adds_margin: bool, may_percent: bool = True) -> dict[str, Any]:
    """Tiers from zero on."""
    measure = draw(st.sampled_from(["conversions", "revenue"]))
    begins = [0, *sorted(draw(st.sets(st.integers(1, 10**6), max_size=3)))]
    pays = rates(currency, adds_margin=adds_margin, may_percent=may_percent)

    def start(minor: int) -> dict[str, Any]:
        if measure == "conversions":
            return {"from_count": minor}
        return {"from_amount": {"amount": Money(minor, currency).decimal_text(), "currency": currency}}

    tiers = [{**start(each), "pays": draw(pays)} for each in begins]
    return {"measure": measure, "mode": draw(st.sampled_from(["step", "marginal"])), "tiers": tiers}


@st.composite
def terms(draw: st.DrawFn, event: str, currency: str, affiliate_ids: tuple[int, ...] = (1, 2, 3)) -> dict[str, Any]:
    """A good term of any shape: percentages stay under 100 together."""
    is_click = event == "click"
    kind = "flat" if is_click else draw(st.sampled_from(["percentage", "flat", "combined"]))
    mode = draw(st.sampled_from(["of_order", "of_commission", "on_top"]))
    term: dict[str, Any] = {"event": event, "kind": kind, "margin_mode": mode}
    if kind != "flat":
        term["rate_percent"] = draw(percents(40))
    if kind != "percentage":
        term["amount"] = draw(money(currency))
        if mode != "of_commission":
            term["margin"] = draw(money(currency))
    if kind != "flat" or mode == "of_commission":
        term["margin_percent"] = draw(percents(20))
    shape = {"adds_margin": mode != "of_commission", "may_percent": not is_click}
    term["rules"] = draw(rule_lists(currency, **shape))
    term["tiers"] = draw(st.none() | tier_tables(currency, **shape))
    term["excludes"] = draw(_some(("tax", "shipping", "discount")))
    named: list[dict[str, Any]] = [{"affiliate_id": each} for each in draw(_some(affiliate_ids))]
    named += [{"group": each} for each in draw(st.lists(_NAMES, max_size=2, unique=True))]
    term["overrides"] = [
        {**who, "pays": draw(rates(currency, **shape)), "rules": draw(rule_lists(currency, **shape))} for who in named
    ]
    if draw(st.booleans()):
        term["referral"] = {"rate_percent": draw(percents(10)), "of": draw(st.sampled_from(["sale", "commission"]))}
    if not is_click:
        term["recurring_months"] = draw(st.none() | st.integers(0, 120))
    term["may_exceed_order"] = draw(st.booleans())
    return term


@st.composite
def _limits(draw: st.DrawFn, currency: str) -> dict[str, Any]:
    limit: dict[str, Any] = {"count": draw(st.integers(1, 10**6))}
    if draw(st.booleans()):
        limit = {"amount": draw(money(currency, least=1))}
    limit["scope"] = draw(st.sampled_from(["offer", "affiliate"]))
    limit["period"] = draw(st.sampled_from(["day", "month", "total"]))
    return limit


@st.composite
def money_parts(draw: st.DrawFn, affiliate_ids: tuple[int, ...] = (1, 2, 3)) -> dict[str, Any]:
    """`terms`, `caps` and `pays_in` of a good offer version."""
    currency = draw(_CURRENCIES)
    events = draw(st.lists(st.sampled_from(["sale", "lead", "install", "click"]), min_size=1, max_size=3, unique=True))
    found = [draw(terms(event, currency, affiliate_ids)) for event in events]
    has_amounts = any('"currency"' in json.dumps(term) for term in found)
    has_shares = any("_percent" in json.dumps(term) for term in found)
    pays_in = currency if (has_amounts and has_shares) or draw(st.booleans()) else None
    names = draw(st.lists(_NAMES, max_size=3, unique=True))
    caps = [
        {"name": name, "event": draw(st.none() | st.sampled_from(events)), **draw(_limits(currency))} for name in names
    ]
    return {"terms": found, "caps": caps, "pays_in": pays_in}


def meaningful(node: Any) -> Any:
    """A body or an answer without what says nothing: nulls, empty lists, and what a field is when it is left out."""
    if isinstance(node, list):
        return [meaningful(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {name: meaningful(value) for name, value in node.items()}
    idle = {"margin_mode": "of_order", "may_exceed_order": False}
    return {
        name: value
        for name, value in kept.items()
        if value is not None and value != [] and not (name in idle and value == idle[name])
    }
