"""Terms and caps as JSON: bodies in, answers out."""

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.domain.cap_rules import CAPS_MAX
from services.gateway.domain.condition_rules import (
    CONDITIONS_MAX,
    RANK_MAX,
    RULE_NAME_CHARACTERS_MAX,
    RULES_MAX,
    VALUE_CHARACTERS_MAX,
    VALUES_MAX,
)
from services.gateway.domain.term_drafts import (
    AmountText,
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
from services.gateway.domain.term_rules import COUNT_MAX, OVERRIDES_MAX, RECURRING_MAX_MONTHS, TIERS_MAX
from services.gateway.domain.terms import (
    CapPeriod,
    CapScope,
    Holds,
    MarginMode,
    OrderPart,
    ReferralOf,
    TermKind,
    TierMeasure,
    TierMode,
)
from shared.runtime.http_app import MoneyModel, PlainText, StrictModel, WireId

Fact = Literal[
    "coupon", "customer_status", "country", "order_amount", "source", "category", "sku",
    "sub1", "sub2", "sub3", "sub4", "sub5", "sub6", "sub7", "sub8", "sub9", "sub10",
]  # fmt: skip
Count = Annotated[int, Field(ge=1, le=COUNT_MAX)]


class PayBody(StrictModel):
    """What is paid where it applies: a share of the order, an amount, or both. Margins left out are the term's."""

    rate_percent: str | None = None
    amount: MoneyModel | None = None
    margin_percent: str | None = None
    margin: MoneyModel | None = None

    def draft(self) -> RateDraft:
        """For the domain to judge."""
        return RateDraft(
            rate_percent=self.rate_percent,
            margin_percent=self.margin_percent,
            amount=_amount_text(self.amount),
            margin=_amount_text(self.margin),
        )


class TermConditionBody(StrictModel):
    """What must hold. `in`, `not_in`: any, none of the values. `at_least`, `below`: one decimal, for order_amount.

    currency: of the order's amount, where the term has none itself.
    """

    fact: Fact
    holds: Holds
    values: Annotated[list[Annotated[str, PlainText(VALUE_CHARACTERS_MAX)]], Field(min_length=1, max_length=VALUES_MAX)]
    currency: str | None = None


class RuleBody(StrictModel):
    """A rate where all conditions hold. rank: 1 is asked first; required where there are several rules."""

    rank: Annotated[int | None, Field(ge=1, le=RANK_MAX)] = None
    name: Annotated[str, PlainText(RULE_NAME_CHARACTERS_MAX)]
    conditions: Annotated[list[TermConditionBody], Field(min_length=1, max_length=CONDITIONS_MAX)]
    pays: PayBody

    def draft(self) -> RuleDraft:
        """For the domain to judge."""
        conditions = [
            ConditionDraft(fact=c.fact, holds=c.holds, values=c.values, currency=c.currency) for c in self.conditions
        ]
        return RuleDraft(rank=self.rank, name=self.name, conditions=conditions, pays=self.pays.draft())


class TierBody(StrictModel):
    """From so many conversions, or so much revenue, in the UTC month on."""

    from_count: Annotated[int | None, Field(ge=0, le=COUNT_MAX)] = None
    from_amount: MoneyModel | None = None
    pays: PayBody


class TiersBody(StrictModel):
    """Rates by performance. `step`: the level reached pays for everything; `marginal`: each for what lies in it."""

    measure: TierMeasure
    mode: TierMode
    tiers: Annotated[list[TierBody], Field(min_length=1, max_length=TIERS_MAX)]

    def draft(self) -> TiersDraft:
        """For the domain to judge."""
        tiers = [
            TierDraft(pays=tier.pays.draft(), from_count=tier.from_count, from_amount=_amount_text(tier.from_amount))
            for tier in self.tiers
        ]
        return TiersDraft(measure=self.measure, mode=self.mode, tiers=tiers)


class OverrideBody(StrictModel):
    """Another rate for one affiliate, or for a group's members at the time of the click. Names one of the two."""

    affiliate_id: WireId | None = None
    group: str | None = None
    pays: PayBody
    rules: Annotated[list[RuleBody], Field(max_length=RULES_MAX)] = []  # noqa: RUF012

    def draft(self) -> OverrideDraft:
        """For the domain to judge."""
        return OverrideDraft(
            affiliate_id=self.affiliate_id,
            group=self.group,
            pays=self.pays.draft(),
            rules=[rule.draft() for rule in self.rules],
        )


class ReferralBody(StrictModel):
    """What the affiliate that brought this one earns on top: a percentage of the sale, or of the commission."""

    rate_percent: str
    of: ReferralOf


class TermBody(StrictModel):
    """One event's pay. Asked in this order: overrides, rules by rank, tiers, the term's own rate.

    `percentage` has rate_percent, `flat` amount, `combined` both. margin_percent is of the order, part of the
    commission, or on top of it, by margin_mode; margin is an amount, for flat and combined terms of mode of_order.
    may_exceed_order: percentages may come to more than 100 together.
    """

    event: str
    kind: TermKind
    rate_percent: str | None = None
    margin_percent: str | None = None
    amount: MoneyModel | None = None
    margin: MoneyModel | None = None
    margin_mode: MarginMode = "of_order"
    excludes: Annotated[list[OrderPart], Field(max_length=3)] = []  # noqa: RUF012
    rules: Annotated[list[RuleBody], Field(max_length=RULES_MAX)] = []  # noqa: RUF012
    tiers: TiersBody | None = None
    overrides: Annotated[list[OverrideBody], Field(max_length=OVERRIDES_MAX)] = []  # noqa: RUF012
    referral: ReferralBody | None = None
    recurring_months: Annotated[int | None, Field(ge=0, le=RECURRING_MAX_MONTHS)] = None
    may_exceed_order: bool = False

    def draft(self) -> TermDraft:
        """For the domain to judge."""
        referral = self.referral
        return TermDraft(
            event=self.event,
            kind=self.kind,
            rate_percent=self.rate_percent,
            margin_percent=self.margin_percent,
            amount=_amount_text(self.amount),
            margin=_amount_text(self.margin),
            margin_mode=self.margin_mode,
            excludes=self.excludes,
            rules=[rule.draft() for rule in self.rules],
            tiers=None if self.tiers is None else self.tiers.draft(),
            overrides=[override.draft() for override in self.overrides],
            referral=None if referral is None else ReferralDraft(rate_percent=referral.rate_percent, of=referral.of),
            recurring_months=self.recurring_months,
            may_exceed_order=self.may_exceed_order,
        )


class CapBody(StrictModel):
    """A limit on what the offer credits, by amount or by count; what is over it waits as `over_cap`.

    amount: commission and margin together. A name is one cap over all versions of the offer.
    """

    name: str
    scope: CapScope
    period: CapPeriod
    amount: MoneyModel | None = None
    count: Count | None = None
    event: str | None = None

    def draft(self) -> CapDraft:
        """For the domain to judge."""
        return CapDraft(
            name=self.name,
            scope=self.scope,
            period=self.period,
            amount=_amount_text(self.amount),
            count=self.count,
            event=self.event,
        )


def _amount_text(money: MoneyModel | None) -> AmountText | None:
    return None if money is None else (money.amount, money.currency)


Caps = Annotated[list[CapBody], Field(max_length=CAPS_MAX)]
