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


class TermV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one event of an offer pays.

    event: the postback's event, such as `sale`, `lead`, `install`.
    kind `percentage`: rate_percent of the net order to the affiliate and margin_percent of it to the network, in the
    order's currency; both exact decimals as text. kind `flat`: flat_amount to the affiliate and margin_amount to the
    network, in the terms' currency.
    """

    event: str
    kind: Literal["percentage", "flat"]
    rate_percent: str | None = None
    margin_percent: str | None = None
    flat_amount: MoneyV1 | None = None
    margin_amount: MoneyV1 | None = None


class MerchantChangedV1(Event, frozen=True, kw_only=True, tag="merchant_changed"):
    """Key `merchant:{id}`."""

    merchant_id: int
    name: str
    status: Literal["active", "suspended"]


class AffiliateChangedV1(Event, frozen=True, kw_only=True, tag="affiliate_changed"):
    """Key `affiliate:{id}`."""

    affiliate_id: int
    name: str
    status: Literal["active", "suspended"]


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
    click_id_parameter: query parameter that carries the click ID where no macro does.
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


class IntervalV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Half-open `[start_at, end_at)`; end_at None: open."""

    start_at: datetime
    end_at: datetime | None = None


class EnrolmentChangedV1(Event, frozen=True, kw_only=True, tag="enrolment_changed"):
    """Key `enrolment:{offer}:{affiliate}`: every interval in which the affiliate was approved for the offer."""

    offer_id: int
    affiliate_id: int
    merchant_id: int
    intervals: list[IntervalV1]


CatalogueEvent = MerchantChangedV1 | AffiliateChangedV1 | OfferChangedV1 | OfferVersionPublishedV1 | EnrolmentChangedV1
CATALOGUE_DECODER = EventDecoder.of(CatalogueEvent)


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
