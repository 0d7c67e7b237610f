"""Terms as sent: their shape known, their values not yet judged."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.gateway.domain.terms import (
    CapPeriod,
    CapScope,
    Holds,
    MarginMode,
    OrderPart,
    ReferralOf,
    TierMeasure,
    TierMode,
)

AmountText = tuple[str, str]
"""An amount and its currency as text: ("5.00", "EUR")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateDraft:
    """What is paid, of a rule, a tier or an override."""

    rate_percent: str | None = None
    margin_percent: str | None = None
    amount: AmountText | None = None
    margin: AmountText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionDraft:
    """A condition. currency: of an order's amount, where the term has none."""

    fact: str
    holds: Holds
    values: Sequence[str]
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDraft:
    """A rule. rank: None where there is only this one."""

    name: str
    conditions: Sequence[ConditionDraft]
    pays: RateDraft
    rank: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TierDraft:
    """A tier."""

    pays: RateDraft
    from_count: int | None = None
    from_amount: AmountText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TiersDraft:
    """Tiers."""

    measure: TierMeasure
    mode: TierMode
    tiers: Sequence[TierDraft]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideDraft:
    """An override."""

    pays: RateDraft
    affiliate_id: int | None = None
    group: str | None = None
    rules: Sequence[RuleDraft] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralDraft:
    """A second level."""

    rate_percent: str
    of: ReferralOf


@dataclass(frozen=True, slots=True, kw_only=True)
class TermDraft:
    """A term."""

    event: str
    kind: str
    rate_percent: str | None = None
    margin_percent: str | None = None
    amount: AmountText | None = None
    margin: AmountText | None = None
    margin_mode: MarginMode = "of_order"
    excludes: Sequence[OrderPart] = ()
    rules: Sequence[RuleDraft] = ()
    tiers: TiersDraft | None = None
    overrides: Sequence[OverrideDraft] = ()
    referral: ReferralDraft | None = None
    recurring_months: int | None = None
    may_exceed_order: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CapDraft:
    """A cap."""

    name: str
    scope: CapScope
    period: CapPeriod
    amount: AmountText | None = None
    count: int | None = None
    event: str | None = None
