"""From the catalogue's record of a term to the term itself; what has no sense is refused before anything is priced.

The gateway refuses the same at its door, naming the field. Here it protects the ledger from whatever reached the log.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from services.commissions.domain.orders import ORDER_FACTS
from services.commissions.domain.referral import Referral
from services.commissions.domain.terms import (
    LINE_FACTS,
    Condition,
    FlatTerm,
    Override,
    PercentageTerm,
    PricingImpossible,
    Rate,
    RichTerm,
    Rule,
    Term,
    Tier,
    Tiers,
    ranked,
)
from shared.contracts.catalogue import ConditionV1, MoneyV1, OverrideV1, RateV1, RuleV1, TermV1, TiersV1
from shared.kernel.money import Money, parse_rate_percent, zero

RATE_PERCENT_MAX: Final = 1000
"""Of a rate that may exceed the order."""

_OF_CLICK: Final = frozenset({"source"}) | {f"sub{number}" for number in range(1, 11)}


def read_term(term: TermV1) -> Term:
    """The exact term behind its wire form. Raises PricingImpossible or InvalidValue for one without sense."""
    is_simple = not (term.excludes or term.rules or term.tiers or term.overrides or term.recurring_months)
    if is_simple and term.margin_mode == "of_order" and not term.may_exceed_order:
        if term.kind == "percentage" and term.margin_amount is None:
            return PercentageTerm(
                parse_rate_percent(term.rate_percent or ""), parse_rate_percent(term.margin_percent or "0")
            )
        if term.kind == "flat" and term.margin_percent is None:
            amount = _required(term.flat_amount)
            return FlatTerm(amount, zero(amount.currency) if term.margin_amount is None else _money(term.margin_amount))
    return _read_rich(term)


def read_referral(term: TermV1) -> Referral | None:
    """What a second level earns, if the term has one. Raises InvalidValue."""
    if term.referral is None:
        return None
    return Referral(parse_rate_percent(term.referral.rate_percent), term.referral.of)


def _read_rich(term: TermV1) -> RichTerm:
    if term.margin_mode == "of_commission" and term.margin_amount is not None:
        raise PricingImpossible("what the network keeps of a commission is a share")
    own = RateV1(
        rate_percent=term.rate_percent if term.kind != "flat" else None,
        flat_amount=_wired(_required(term.flat_amount)) if term.kind != "percentage" else None,
        margin_percent=term.margin_percent,
        margin_amount=term.margin_amount,
    )
    if term.kind != "flat" and term.rate_percent is None:
        raise PricingImpossible("a percentage has a rate")
    if (term.recurring_months or 0) < 0:
        raise PricingImpossible("months are counted from zero")
    return RichTerm(
        own_rate=_rate(term, own),
        margin_mode=term.margin_mode,
        excludes=frozenset(term.excludes),
        rules=_rules(term, term.rules),
        tiers=None if term.tiers is None else _tiers(term, term.tiers),
        overrides=tuple(_override(term, each) for each in term.overrides),
        recurring_months=term.recurring_months,
        may_exceed_order=term.may_exceed_order,
    )


def _rate(term: TermV1, rate: RateV1) -> Rate:
    if rate.rate_percent is None and rate.flat_amount is None:
        raise PricingImpossible("a rate pays a share, an amount, or both")
    if term.margin_mode == "of_commission" and rate.margin_amount is not None:
        raise PricingImpossible("what the network keeps of a commission is a share")
    read = Rate(
        rate_percent=_percent(term, rate.rate_percent),
        flat_amount=None if rate.flat_amount is None else _money(rate.flat_amount),
        margin_percent=_percent(term, rate.margin_percent),
        margin_amount=None if rate.margin_amount is None else _money(rate.margin_amount),
    )
    _require_within_order(term, read)
    return read


def _require_within_order(term: TermV1, rate: Rate) -> None:
    """Shares come to at most the whole order, unless the term says that they may."""
    margin = rate.margin_percent if rate.margin_percent is not None else _percent(term, term.margin_percent)
    share, margin = rate.rate_percent or Decimal(0), margin or Decimal(0)
    if term.margin_mode == "of_commission":
        total = share
        if margin > 100:
            raise PricingImpossible("the network keeps at most all of a commission")
    else:
        total = share + (margin if term.margin_mode == "of_order" else share * margin / 100)
    if total > 100 and not term.may_exceed_order:
        raise PricingImpossible("a rate over the order's value says that it may exceed it")


def _percent(term: TermV1, text: str | None) -> Decimal | None:
    if text is None:
        return None
    return parse_rate_percent(text, percent_max=RATE_PERCENT_MAX if term.may_exceed_order else 100)


def _rules(term: TermV1, rules: Sequence[RuleV1]) -> tuple[Rule, ...]:
    return ranked([_rule(term, rule) for rule in rules])


def _rule(term: TermV1, rule: RuleV1) -> Rule:
    if not rule.conditions:
        raise PricingImpossible("a rule has a condition")
    return Rule(
        rank=rule.rank,
        name=rule.name,
        conditions=tuple(_condition(each) for each in rule.conditions),
        pays=_rate(term, rule.pays),
        is_of_lines=any(each.fact in LINE_FACTS for each in rule.conditions),
    )


def _condition(condition: ConditionV1) -> Condition:
    fact, holds, values = condition.fact, condition.holds, condition.values
    if fact not in ORDER_FACTS | LINE_FACTS:
        raise PricingImpossible("a condition asks about a fact that there is")
    if (fact == "order_amount") != (holds in ("at_least", "below")):
        raise PricingImpossible("an order's amount has a bound, every other fact has values")
    if fact != "order_amount":
        if not values:
            raise PricingImpossible("a condition has a value")
        kept = values if fact in _OF_CLICK else [value.casefold() for value in values]
        return Condition(fact, holds, frozenset(kept))
    if len(values) != 1:
        raise PricingImpossible("a bound is one amount")
    try:
        bound = Decimal(values[0])
    except InvalidOperation:
        raise PricingImpossible("a bound is an amount") from None
    if not bound.is_finite() or bound < 0:
        raise PricingImpossible("a bound is an amount")
    return Condition(fact, holds, bound=bound, currency=condition.currency)


def _tiers(term: TermV1, tiers: TiersV1) -> Tiers:
    currency = None
    if tiers.measure == "revenue":
        amounts = [each.from_amount for each in tiers.tiers if each.from_amount is not None]
        starts: list[int] = [each.amount_minor for each in amounts]
        if len({each.currency for each in amounts}) != 1:
            raise PricingImpossible("tiers of revenue begin at amounts of one currency")
        currency = amounts[0].currency
    else:
        starts = [each.from_count for each in tiers.tiers if each.from_count is not None]
    if len(starts) != len(tiers.tiers) or not starts or starts[0] != 0 or sorted(set(starts)) != starts:
        raise PricingImpossible("each tier begins after the one before it, the first at zero")
    read = tuple(Tier(start, _rate(term, each.pays)) for start, each in zip(starts, tiers.tiers, strict=True))
    return Tiers(tiers.measure, tiers.mode, read, currency)


def _override(term: TermV1, override: OverrideV1) -> Override:
    if (override.affiliate_id is None) == (override.group is None):
        raise PricingImpossible("an override is for one affiliate or for one group")
    return Override(_rate(term, override.pays), _rules(term, override.rules), override.affiliate_id, override.group)


def _required(amount: MoneyV1 | None) -> Money:
    if amount is None:
        raise PricingImpossible("a flat term has an amount")
    return _money(amount)


def _money(money: MoneyV1) -> Money:
    return Money(money.amount_minor, money.currency)


def _wired(money: Money) -> MoneyV1:
    return MoneyV1(amount_minor=money.amount_minor, currency=money.currency)
