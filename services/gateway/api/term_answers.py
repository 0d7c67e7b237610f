"""Terms and caps in answers, spelled as in bodies."""

from decimal import Decimal

from pydantic import BaseModel

from services.gateway.domain.terms import (
    Cap,
    CapPeriod,
    CapScope,
    Holds,
    MarginMode,
    OrderPart,
    Override,
    Rate,
    ReferralOf,
    Rule,
    Term,
    TermKind,
    TierMeasure,
    TierMode,
    Tiers,
)
from shared.kernel.money import Money
from shared.runtime.http_app import MoneyAnswer


class PayAnswer(BaseModel):
    """See PayBody."""

    rate_percent: str | None = None
    amount: MoneyAnswer | None = None
    margin_percent: str | None = None
    margin: MoneyAnswer | None = None

    @classmethod
    def of(cls, rate: Rate) -> "PayAnswer":
        """`rate` as the API shows it."""
        return cls(
            rate_percent=_percent(rate.rate_percent),
            amount=_money(rate.flat_amount),
            margin_percent=_percent(rate.margin_percent),
            margin=_money(rate.margin_amount),
        )


class TermConditionAnswer(BaseModel):
    """See TermConditionBody."""

    fact: str
    holds: Holds
    values: list[str]
    currency: str | None = None


class RuleAnswer(BaseModel):
    """See RuleBody."""

    rank: int
    name: str
    conditions: list[TermConditionAnswer]
    pays: PayAnswer

    @classmethod
    def of(cls, rule: Rule) -> "RuleAnswer":
        """`rule` as the API shows it."""
        conditions = [
            TermConditionAnswer(fact=c.fact, holds=c.holds, values=list(c.values), currency=c.currency)
            for c in rule.conditions
        ]
        return cls(rank=rule.rank, name=rule.name, conditions=conditions, pays=PayAnswer.of(rule.pays))


class TierAnswer(BaseModel):
    """See TierBody."""

    from_count: int | None = None
    from_amount: MoneyAnswer | None = None
    pays: PayAnswer


class TiersAnswer(BaseModel):
    """See TiersBody."""

    measure: TierMeasure
    mode: TierMode
    tiers: list[TierAnswer]

    @classmethod
    def of(cls, tiers: Tiers) -> "TiersAnswer":
        """`tiers` as the API shows them."""
        shown = [
            TierAnswer(from_count=tier.from_count, from_amount=_money(tier.from_amount), pays=PayAnswer.of(tier.pays))
            for tier in tiers.tiers
        ]
        return cls(measure=tiers.measure, mode=tiers.mode, tiers=shown)


class OverrideAnswer(BaseModel):
    """See OverrideBody."""

    affiliate_id: int | None = None
    group: str | None = None
    pays: PayAnswer
    rules: list[RuleAnswer]

    @classmethod
    def of(cls, override: Override) -> "OverrideAnswer":
        """`override` as the API shows it."""
        return cls(
            affiliate_id=override.affiliate_id,
            group=override.group,
            pays=PayAnswer.of(override.pays),
            rules=[RuleAnswer.of(rule) for rule in override.rules],
        )


class ReferralAnswer(BaseModel):
    """See ReferralBody."""

    rate_percent: str
    of: ReferralOf


class TermAnswer(BaseModel):
    """See TermBody. Fields of the other kind are null. For affiliates: margins and margin_mode are null, rates are
    what they get themselves, and overrides are their own and those of groups they are or were in.
    """

    event: str
    kind: TermKind
    rate_percent: str | None = None
    margin_percent: str | None = None
    amount: MoneyAnswer | None = None
    margin: MoneyAnswer | None = None
    margin_mode: MarginMode | None
    excludes: list[OrderPart]
    rules: list[RuleAnswer]
    tiers: TiersAnswer | None
    overrides: list[OverrideAnswer]
    referral: ReferralAnswer | None
    recurring_months: int | None
    may_exceed_order: bool

    @classmethod
    def of(cls, term: Term, *, with_margin: bool) -> "TermAnswer":
        """`term` as the API shows it."""
        referral = term.referral
        return cls(
            event=term.event,
            kind=term.kind,
            rate_percent=_percent(term.rate_percent),
            margin_percent=_percent(term.margin_percent),
            amount=_money(term.flat_amount),
            margin=_money(term.margin_amount),
            margin_mode=term.margin_mode if with_margin else None,
            excludes=list(term.excludes),
            rules=[RuleAnswer.of(rule) for rule in term.rules],
            tiers=None if term.tiers is None else TiersAnswer.of(term.tiers),
            overrides=[OverrideAnswer.of(override) for override in term.overrides],
            referral=None
            if referral is None
            else ReferralAnswer(rate_percent=_exact(referral.rate_percent), of=referral.of),
            recurring_months=term.recurring_months,
            may_exceed_order=term.may_exceed_order,
        )


class CapAnswer(BaseModel):
    """See CapBody. What of it is used up is not shown here."""

    name: str
    scope: CapScope
    period: CapPeriod
    amount: MoneyAnswer | None = None
    count: int | None = None
    event: str | None = None

    @classmethod
    def of(cls, cap: Cap) -> "CapAnswer":
        """`cap` as the API shows it."""
        return cls(
            name=cap.name,
            scope=cap.scope,
            period=cap.period,
            amount=_money(cap.amount),
            count=cap.count,
            event=cap.event,
        )


def _exact(percent: Decimal) -> str:
    return f"{percent.normalize():f}"


def _percent(percent: Decimal | None) -> str | None:
    return None if percent is None else _exact(percent)


def _money(money: Money | None) -> MoneyAnswer | None:
    return None if money is None else MoneyAnswer.of(money)
