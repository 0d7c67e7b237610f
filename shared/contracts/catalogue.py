"""catalogue.v1: parties, offers, offer versions and enrolments, as the gateway publishes them.

Each event carries the whole state of its key; the last one wins. Never a secret, never a tombstone.
"""

from datetime import datetime
from typing import Literal

import msgspec

from shared.contracts.events import Event, EventDecoder


class MoneyV1(msgspec.Struct, frozen=True, kw_only=True):
    """amount_minor: whole minor units. currency: ISO 4217."""

    amount_minor: int
    currency: str


class RateV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is paid where it applies: a share of the base, a fixed amount, or both together.

    rate_percent: of the base, exact decimal as text. flat_amount: a conversion, a click of a bundle, or in a rule
    about lines each piece of its lines; in the terms' currency. At least one of them is set; "0" pays nothing.
    margin_percent, margin_amount: the network's; each None: as the term says, a margin_amount then once a conversion.
    """

    rate_percent: str | None = None
    flat_amount: MoneyV1 | None = None
    margin_percent: str | None = None
    margin_amount: MoneyV1 | None = None


class ConditionV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that must hold. values: any one of them for `in`, none of them for `not_in`, exactly one otherwise.

    fact: of the conversion (`coupon`, `customer_status`, `country`, `order_amount`), of its click (`sub1`…`sub10`,
    `source`), or of one line of the order (`category`, `sku`). Those of the click compare exactly, all others without
    regard to case. A fact that is not there is in no list: `in` fails, `not_in` holds.
    at_least, below: of `order_amount` only, the order as first reported, tax and all, so that a refund changes no rule;
    decimal text in major units, below excludes its value. currency: of that amount; an order in another one fails.
    None: of whatever currency the commission is in.
    """

    fact: str
    holds: Literal["in", "not_in", "at_least", "below"]
    values: list[str]
    currency: str | None = None


class RuleV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rate of its own where all of its conditions hold. rank: 1 is asked first, no two are equal; the first decides.

    Every line of the order, and what of it is in no line, asks the rules by rank. A rule with a condition on `category`
    or `sku` holds for lines only; any other one for the order with all its lines.
    """

    rank: int
    name: str
    conditions: list[ConditionV1]
    pays: RateV1


class TierV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From this much in the period on. from_count: conversions. from_amount: of the measure, by `TiersV1.measure`."""

    pays: RateV1
    from_count: int | None = None
    from_amount: MoneyV1 | None = None


class TiersV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rates by what the affiliate achieves for the offer in a UTC month; provisional until the period closes.

    step: the highest level reached counts for everything. marginal: each level counts for what lies in it: of tiers
    from 0 and from 10 conversions, the first ten are in the first. The first tier begins at zero, each later one after
    the one before. A term with tiers never asks for its own rate, except for the margins that a tier does not name.
    """

    measure: Literal["conversions", "revenue"]
    mode: Literal["step", "marginal"]
    tiers: list[TierV1]


class OverrideV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another rate for one affiliate, or for the members of a group at the time of the click. Exactly one is named.

    An affiliate's own override is asked first, then the groups' in the order in which they stand. It replaces the
    term's rules, tiers and rate: its own rules are asked by rank, then it pays `pays`.
    """

    pays: RateV1
    affiliate_id: int | None = None
    group: str | None = None
    rules: list[RuleV1] = []


class ReferralV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A second level: what the affiliate that brought this affiliate earns on top, charged to the merchant.

    of: `sale`, the base of the order; `commission`, what the affiliate earns.
    """

    rate_percent: str
    of: Literal["sale", "commission"]


class TermV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one event of an offer pays.

    event: the postback's event, such as `sale`, `lead`, `install`; `click` for valid clicks.
    kind `percentage`: rate_percent of the net order to the affiliate and margin_percent of it to the network, in the
    order's currency; both exact decimals as text. kind `flat`: flat_amount to the affiliate and margin_amount to the
    network, in the terms' currency. kind `combined`: both together, in one currency. A flat amount changes only when
    all of an order that had an amount is taken back.
    margin_mode: `of_order`: margin_percent of the base. `of_commission`: the network keeps margin_percent of what the
    rate comes to, the affiliate gets the rest; there is no margin_amount then. `on_top`: margin_percent of the
    commission, charged beside it, with margin_amount.
    excludes: parts of the order that are no base of a percentage. Lines that come to more than the base shrink in
    proportion; a refund takes the same share of every line and of the rest.
    recurring_months: later orders of a customer count for this many months from the first, that day excluded (0: for
    life; None: only orders with a click count); one beyond them earns nothing.
    may_exceed_order: rates and their margins may come to more than 100 %, at most 1000 % each; and a share and a flat
    amount together to more than what is left of the order, which otherwise is all they come to. A flat amount alone
    is paid whatever the order was worth.
    Order of asking: override, then rules by rank, then tiers, then the term's own rate.
    """

    event: str
    kind: Literal["percentage", "flat", "combined"]
    rate_percent: str | None = None
    margin_percent: str | None = None
    flat_amount: MoneyV1 | None = None
    margin_amount: MoneyV1 | None = None
    margin_mode: Literal["of_order", "of_commission", "on_top"] = "of_order"
    excludes: list[Literal["tax", "shipping", "discount"]] = []
    rules: list[RuleV1] = []
    tiers: TiersV1 | None = None
    overrides: list[OverrideV1] = []
    referral: ReferralV1 | None = None
    recurring_months: int | None = None
    may_exceed_order: bool = False


class CapV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A limit on what an offer version credits; what is over it is recorded as `over_cap`.

    scope: of the whole offer or of each affiliate. period: UTC day, UTC month, or for ever. Exactly one of amount
    (commission and margin together, what the merchant pays) and count (conversions, each click of a bundle) is set.
    event: None for all. name: unique in the offer; what versions of an offer call the same is one cap.
    """

    name: str
    scope: Literal["offer", "affiliate"]
    period: Literal["day", "month", "total"]
    amount: MoneyV1 | None = None
    count: int | None = None
    event: str | None = None


class MerchantChangedV1(Event, frozen=True, kw_only=True, tag="merchant_changed"):
    """Key `merchant:{id}`."""

    merchant_id: int
    name: str
    status: Literal["active", "suspended"]


class IntervalV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Half-open `[start_at, end_at)`; end_at None: open."""

    start_at: datetime
    end_at: datetime | None = None


class AffiliateChangedV1(Event, frozen=True, kw_only=True, tag="affiliate_changed", omit_defaults=True):
    """Key `affiliate:{id}`. groups: by name, when the affiliate was in them. referred_by: who brought it, for good."""

    affiliate_id: int
    name: str
    status: Literal["active", "suspended"]
    groups: dict[str, list[IntervalV1]] = {}
    referred_by: int | None = None


class OfferChangedV1(Event, frozen=True, kw_only=True, tag="offer_changed"):
    """Key `offer:{id}`: what may change of an offer. current_version: the one that new clicks carry."""

    offer_id: int
    merchant_id: int
    name: str
    status: Literal["active", "paused", "ended"]
    current_version: int
    fallback_url: str | None = None


class OfferVersionPublishedV1(Event, frozen=True, kw_only=True, tag="offer_version_published"):
    """Key `offer:{id}:v{n}`: immutable once published.

    landing_template: https URL with macros after its fixed host. allowed_hosts: of deep links, exact names.
    window_min_seconds, window_max_seconds: age of a click that converts, both inclusive. late_hours: how late a
    batch may report. validation_days: pending to approved. hold_days: approved to payable.
    click_id_parameter: query parameter that carries the click ID where no macro does. caps: limits on its credits.
    pays_in: the currency of every commission on it, None for the order's own; an order in another one is converted
    at a stored rate.
    """

    offer_id: int
    version: int
    merchant_id: int
    landing_template: str
    allowed_hosts: list[str]
    window_min_seconds: int
    window_max_seconds: int
    late_hours: int
    validation_days: int
    terms: list[TermV1]
    hold_days: int = 0
    click_id_parameter: str = "click_id"
    referrer_policy: str = "no-referrer-when-downgrade"
    caps: list[CapV1] = []
    pays_in: str | None = None


class EnrolmentChangedV1(Event, frozen=True, kw_only=True, tag="enrolment_changed"):
    """Key `enrolment:{offer}:{affiliate}`: every interval in which the affiliate was approved for the offer."""

    offer_id: int
    affiliate_id: int
    merchant_id: int
    intervals: list[IntervalV1]


CatalogueEvent = MerchantChangedV1 | AffiliateChangedV1 | OfferChangedV1 | OfferVersionPublishedV1 | EnrolmentChangedV1
CATALOGUE_DECODER = EventDecoder.of(CatalogueEvent)


def pays_shares(term: TermV1) -> bool:
    """Whether anything that `term` may pay is a share of the order, so that every conversion needs its amount."""
    rates = [RateV1(margin_percent=term.margin_percent), *(rule.pays for rule in term.rules)]
    rates += [] if term.tiers is None else [tier.pays for tier in term.tiers.tiers]
    for override in term.overrides:
        rates += [override.pays, *(rule.pays for rule in override.rules)]
    of_order = term.margin_mode == "of_order"
    return term.kind != "flat" or any(
        rate.rate_percent is not None or (of_order and rate.margin_percent is not None) for rate in rates
    )


def merchant_key(merchant_id: int) -> str:
    """Key of a merchant's state."""
    return f"merchant:{merchant_id}"


def affiliate_key(affiliate_id: int) -> str:
    """Key of an affiliate's state."""
    return f"affiliate:{affiliate_id}"


def offer_key(offer_id: int) -> str:
    """Key of an offer's state."""
    return f"offer:{offer_id}"


def offer_version_key(offer_id: int, version: int) -> str:
    """Key of one immutable offer version."""
    return f"offer:{offer_id}:v{version}"


def enrolment_key(offer_id: int, affiliate_id: int) -> str:
    """Key of an affiliate's enrolment in an offer."""
    return f"enrolment:{offer_id}:{affiliate_id}"
