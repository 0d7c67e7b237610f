"""conversions.v1: every recorded version of every conversion, in order per conversion. Kept for ever."""

from datetime import datetime
from typing import Literal

import msgspec

from shared.contracts.catalogue import MoneyV1
from shared.contracts.events import Event, EventDecoder

ConversionStatusV1 = Literal["waiting", "pending", "approved", "unattributed", "rejected", "held", "reversed"]


class LineItemV1(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an order. amount: of the whole line, in the order's currency; None where it was not said."""

    sku: str | None = None
    category: str | None = None
    quantity: int = 1
    amount: MoneyV1 | None = None


class ConversionChangedV1(Event, frozen=True, kw_only=True, tag="conversion_changed", omit_defaults=True):
    """The whole state of a conversion at one version. occurred_at: when this version was recorded.

    version: 1, 2, 3 … without gaps. change: what made this version, such as `recorded`, `approved`, `adjusted`,
    `reversed`, `rejected`, `released`, `attributed`, `click_details_added`. reason_code: why, where one is required.
    order_amount: as first reported; net_amount: after every adjustment so far (both absent for leads without
    amount). first_received_at: the receipt that decides the click's age. ordered_at: the merchant's own time, shown,
    never judged. attributed_by: the rule that won (`click_id`), absent where none did. affiliate_id, offer_id,
    offer_version, click_id: those of the click, absent while unattributed. outcome_code: the numbered outcome.
    Facts that terms may ask about: coupon, customer_status (`new`, `returning`), country (ISO 3166), items; tax,
    shipping and discount are parts that order_amount contains, as first reported (a discount that was taken off before
    is not said). They, and the items, stay as they were when the order is adjusted. customer_first_at: the customer's
    first credited order, absent where the offer knows no customers. quantity: clicks of a settled bundle,
    1 for everything else.
    """

    conversion_id: str
    version: int
    change: str
    status: ConversionStatusV1
    merchant_id: int
    conversion_event: str
    first_received_at: datetime
    order_id: str | None = None
    offer_id: int | None = None
    offer_version: int | None = None
    affiliate_id: int | None = None
    click_id: str | None = None
    clicked_at: datetime | None = None
    attributed_by: str | None = None
    order_amount: MoneyV1 | None = None
    net_amount: MoneyV1 | None = None
    ordered_at: datetime | None = None
    outcome_code: int | None = None
    reason_code: str | None = None
    adjustment_id: str | None = None
    subs: dict[str, str] = {}
    aff_click_id: str | None = None
    source: str | None = None
    creative: str | None = None
    coupon: str | None = None
    customer_status: str | None = None
    country: str | None = None
    items: list[LineItemV1] = []
    tax: MoneyV1 | None = None
    shipping: MoneyV1 | None = None
    discount: MoneyV1 | None = None
    customer_first_at: datetime | None = None
    quantity: int = 1


CONVERSIONS_DECODER = EventDecoder.of(ConversionChangedV1)
