"""clicks.v1: every click the redirect answered with a click ID, unordered. Natural key: the click ID.

billable_clicks.v1: what of them an offer pays for, bundled. Kept for ever.
"""

from datetime import datetime

import msgspec

from shared.contracts.events import Event, EventDecoder


class ClickRecordedV1(Event, frozen=True, kw_only=True, tag="click_recorded", omit_defaults=True):
    """One click. occurred_at: the time inside the click ID, to the millisecond.

    click_id: canonical spelling, 56 characters. flags: shared.kernel.click_id.ClickFlags. subs: sub1 to sub10 as
    given. ad_click_ids: gclid, fbclid and the like. ip_hash: keyed hash of the truncated address, visitor_key:
    keyed hash of the first-party cookie (only with consent); both hexadecimal. With consent False neither an
    address hash nor a user agent is carried. referrer_host: host name only.
    """

    click_id: str
    offer_id: int
    offer_version: int
    affiliate_id: int
    merchant_id: int
    flags: int = 0
    subs: dict[str, str] = {}
    aff_click_id: str | None = None
    source: str | None = None
    creative: str | None = None
    ad_click_ids: dict[str, str] = {}
    deep_link: str | None = None
    referrer_host: str | None = None
    user_agent: str | None = None
    ip_hash: str | None = None
    visitor_key: str | None = None
    consent: bool | None = None


class BillableClicksSettledV1(Event, frozen=True, kw_only=True, tag="billable_clicks_settled"):
    """The valid clicks of one hour of an affiliate on an offer version that pays for clicks, settled at occurred_at.

    Natural key: offer, offer version, affiliate, hour_at and part. hour_at: first instant of the UTC hour in which they
    were clicked. part: 1 for what came in time, then one for each time that later ones were settled; a part never
    changes, and no click is in two. quantity: how many, at least 1.
    """

    offer_id: int
    offer_version: int
    affiliate_id: int
    merchant_id: int
    hour_at: datetime
    part: int
    quantity: int


CLICKS_DECODER = EventDecoder.of(ClickRecordedV1)
BILLABLE_CLICKS_DECODER = EventDecoder.of(BillableClicksSettledV1)


def without_shopper(click: ClickRecordedV1) -> ClickRecordedV1:
    """The click as it is after erasure: that it happened, when and on whose link; nothing of the shopper."""
    return msgspec.structs.replace(
        click,
        subs={},
        aff_click_id=None,
        source=None,
        creative=None,
        ad_click_ids={},
        deep_link=None,
        referrer_host=None,
        user_agent=None,
        ip_hash=None,
        visitor_key=None,
    )
