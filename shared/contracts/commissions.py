"""commissions.v1: every posting to the ledger, with the inputs that priced it. Kept for ever."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from shared.contracts.catalogue import MoneyV1, TermV1
from shared.contracts.events import Event, EventDecoder

PostingKindV1 = Literal["accrual", "approval", "adjustment", "reversal"]
PostedStatusV1 = Literal["accrued", "approved", "reversed"]


class RateUsedV1(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange rate of one credit, frozen. rate: one unit of `base` in units of `quote`, exact decimal as text.

    source: such as `ecb`. as_of: the day it was published for, `YYYY-MM-DD`.
    """

    base: str
    quote: str
    rate: str
    source: str
    as_of: str


class RateAwaitedV1(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange rate that a held credit waits for: of `base` in units of `quote`, on a day, `YYYY-MM-DD`."""

    base: str
    quote: str
    on: str


class GrantV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a cap says to a credit. key: the cap, its scope's party and its period, as text.

    amount or count: what the credit holds under the cap from here on, also where more of it was refused; neither where
    nothing was ever reserved. is_released: finance let it through, and it counts beside the cap, not under it;
    after a released raise a key has one grant of either kind.
    """

    key: str
    is_granted: bool
    amount: MoneyV1 | None = None
    count: int | None = None
    is_released: bool = False


class DecisionsV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a credit depended on besides its own conversion: decided once, the same on every replay.

    rate: where the offer pays in another currency than the order's. held: why it waits for finance, such as
    `rate_missing`; awaits: for which rate. grants: of caps, where this version changed them. tier: number of the
    provisional tier, from 0. groups: the affiliate's when it was decided. referred_by: who earns the second level.
    """

    rate: RateUsedV1 | None = None
    held: str | None = None
    awaits: RateAwaitedV1 | None = None
    grants: list[GrantV1] = []
    tier: int | None = None
    groups: list[str] = []
    referred_by: int | None = None


NO_DECISIONS = DecisionsV1()


class CommissionPostedV1(Event, frozen=True, kw_only=True, tag="commission_posted", omit_defaults=True):
    """One ledger transaction for one commission. occurred_at: when the conversion's version was recorded.

    transaction_id: UUIDv5 of the conversion event. booked_at and block_number: of the block that sealed it.
    term: the offer version's term that priced it. net_before, net_after: of the order. commission_before,
    commission_after and margin_before, margin_after: what stood and what stands. decisions: what else it depended on.
    release_number: from 1 where finance released, after this version, what was withheld.
    """

    transaction_id: str
    kind: PostingKindV1
    commission_id: str
    conversion_id: str
    conversion_version: int
    affiliate_id: int
    merchant_id: int
    offer_id: int
    offer_version: int
    status: PostedStatusV1
    term: TermV1
    commission_before: MoneyV1
    commission_after: MoneyV1
    margin_before: MoneyV1
    margin_after: MoneyV1
    booked_at: datetime
    block_number: int
    net_before: MoneyV1 | None = None
    net_after: MoneyV1 | None = None
    payable_at: datetime | None = None
    order_id: str | None = None
    click_id: str | None = None
    reason_code: str | None = None
    subs: dict[str, str] = {}
    aff_click_id: str | None = None
    decisions: DecisionsV1 = NO_DECISIONS
    release_number: int = 0


class FinanceActPostedV1(Event, frozen=True, kw_only=True, tag="finance_act_posted", omit_defaults=True):
    """A posting that no conversion caused, such as a payout or a bonus, with everything that it was computed from.

    occurred_at: when finance acted. kind: of the act. inputs: its own words, never a bank detail nor a personal value.
    transaction_ids: in posting order. booked_at and block_number: of the block that sealed it. actor: the key that
    acted, or the rule.
    """

    act_id: str
    kind: str
    inputs: dict[str, Any]
    actor: str
    transaction_ids: list[str]
    booked_at: datetime
    block_number: int
    reason_code: str | None = None


class PrefundingChangedV1(Event, frozen=True, kw_only=True, tag="prefunding_changed", omit_defaults=True):
    """A merchant's prepaid balance in one currency went past a mark. occurred_at: when that was seen.

    state: `ok`, `low` (below the merchant's own mark) or `exhausted` (nothing left). pauses_offers: the merchant wants
    its offers paused while it is exhausted. available: prepaid less owed, at block_number. version: counts up.
    """

    merchant_id: int
    currency: str
    state: Literal["ok", "low", "exhausted"]
    pauses_offers: bool
    available: MoneyV1
    block_number: int
    version: int


class StatementFinalisedV1(Event, frozen=True, kw_only=True, tag="statement_finalised", omit_defaults=True):
    """A party's month has its number; `GET /v1/statements/{statement_id}` gives it to its owner. One id is set.

    occurred_at: when it got the number. period: `YYYY-MM`. block_number, block_hash: its cut. replaces: the number of
    the void statement that it stands for.
    """

    number: str
    period: str
    currency: str
    block_number: int
    block_hash: str
    merchant_id: int | None = None
    affiliate_id: int | None = None
    replaces: str | None = None


class StatementVoidedV1(Event, frozen=True, kw_only=True, tag="statement_voided", omit_defaults=True):
    """A statement is void, and `replaced_by` stands for it; both stay readable. Exactly one id is set."""

    number: str
    replaced_by: str
    reason_code: str
    merchant_id: int | None = None
    affiliate_id: int | None = None


COMMISSIONS_DECODER = EventDecoder.of(
    CommissionPostedV1 | FinanceActPostedV1 | PrefundingChangedV1 | StatementFinalisedV1 | StatementVoidedV1
)
