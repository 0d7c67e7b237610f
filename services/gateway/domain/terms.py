"""What an offer version pays: terms with their rules, tiers and overrides, and the caps on all of it.

Meaning: the contract's docstrings (`shared/contracts/catalogue.py`). Limits: `term_rules`, `cap_rules`.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from shared.kernel.money import Money

TermKind = Literal["percentage", "flat", "combined"]
MarginMode = Literal["of_order", "of_commission", "on_top"]
OrderPart = Literal["tax", "shipping", "discount"]
Holds = Literal["in", "not_in", "at_least", "below"]
TierMeasure = Literal["conversions", "revenue"]
TierMode = Literal["step", "marginal"]
ReferralOf = Literal["sale", "commission"]
CapScope = Literal["offer", "affiliate"]
CapPeriod = Literal["day", "month", "total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What is paid where it applies: a share, a fixed amount, or both. Margins that are None are the term's."""

    rate_percent: Decimal | None = None
    flat_amount: Money | None = None
    margin_percent: Decimal | None = None
    margin_amount: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that must hold. values: an order's amount as a plain decimal with all decimals of `currency`."""

    fact: str
    holds: Holds
    values: tuple[str, ...]
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rate of its own where all of its conditions hold. rank: 1 is asked first."""

    rank: int
    name: str
    conditions: tuple[Condition, ...]
    pays: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """From this much in the month on; one of the two is set, by the tiers' measure."""

    pays: Rate
    from_count: int | None = None
    from_amount: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiers:
    """Rates by what the affiliate achieves in a UTC month. tiers: from zero on, ascending."""

    measure: TierMeasure
    mode: TierMode
    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Another rate for one affiliate or one group; one of the two is named."""

    pays: Rate
    affiliate_id: int | None = None
    group: str | None = None
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """What the affiliate that brought this affiliate earns on top."""

    rate_percent: Decimal
    of: ReferralOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """What one event of an offer pays. All its amounts are of one currency."""

    event: str
    kind: TermKind
    rate_percent: Decimal | None = None
    margin_percent: Decimal | None = None
    flat_amount: Money | None = None
    margin_amount: Money | None = None
    margin_mode: MarginMode = "of_order"
    excludes: tuple[OrderPart, ...] = ()
    rules: tuple[Rule, ...] = ()
    tiers: Tiers | None = None
    overrides: tuple[Override, ...] = ()
    referral: Referral | None = None
    recurring_months: int | None = None
    may_exceed_order: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """A limit on what an offer version credits, in money or in conversions; one of the two is set."""

    name: str
    scope: CapScope
    period: CapPeriod
    amount: Money | None = None
    count: int | None = None
    event: str | None = None
