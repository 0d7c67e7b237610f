"""Makes what the commissions service eats: published offer versions and conversions' versions."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal
from uuid import UUID, uuid4

from shared.contracts.catalogue import (
    AffiliateChangedV1,
    CapV1,
    MerchantChangedV1,
    MoneyV1,
    OfferChangedV1,
    OfferVersionPublishedV1,
    TermV1,
    affiliate_key,
    merchant_key,
    offer_key,
    offer_version_key,
)
from shared.contracts.conversions import ConversionChangedV1, ConversionStatusV1
from shared.contracts.events import encode_event
from shared.contracts.topics import CATALOGUE, CONVERSIONS
from shared.kernel.ids import derived_id, new_id
from shared.runtime.consumer import Received
from shared.runtime.database import Database
from shared.runtime.projection import apply_projection

START = datetime(2026, 11, 10, 12, tzinfo=UTC)
_ids = count(1_000)

PERCENTAGE = TermV1(event="sale", kind="percentage", rate_percent="10", margin_percent="2")
FLAT = TermV1(
    event="lead",
    kind="flat",
    flat_amount=MoneyV1(amount_minor=500, currency="EUR"),
    margin_amount=MoneyV1(amount_minor=50, currency="EUR"),
)


def fresh_id() -> int:
    """A party's or an offer's id that no other test uses."""
    return next(_ids)


def euros(amount_minor: int) -> MoneyV1:
    """Cents."""
    return MoneyV1(amount_minor=amount_minor, currency="EUR")


def offer_version(
    offer_id: int,
    version: int = 1,
    *,
    terms: Sequence[TermV1] = (PERCENTAGE, FLAT),
    hold_days: int = 0,
    caps: Sequence[CapV1] = (),
    pays_in: str | None = None,
) -> OfferVersionPublishedV1:
    """A published offer version of merchant 7."""
    return OfferVersionPublishedV1(
        event_id=uuid4(),
        occurred_at=START - timedelta(days=30),
        offer_id=offer_id,
        version=version,
        merchant_id=7,
        landing_template="https://shop.example/{click_id}",
        allowed_hosts=["shop.example"],
        window_min_seconds=0,
        window_max_seconds=2_592_000,
        late_hours=0,
        validation_days=14,
        terms=list(terms),
        hold_days=hold_days,
        caps=list(caps),
        pays_in=pays_in,
    )


def conversion(
    version: int = 1,
    status: ConversionStatusV1 = "pending",
    *,
    conversion_id: UUID,
    offer_id: int | None,
    affiliate_id: int | None = 3,
    merchant_id: int = 7,
    offer_version: int | None = 1,
    event: str = "sale",
    ordered: MoneyV1 | None = None,
    net: MoneyV1 | None = None,
    change: str = "recorded",
    reason_code: str | None = None,
    occurred_at: datetime | None = None,
) -> ConversionChangedV1:
    """One version of a conversion; its event id follows from conversion and version, so that repeats are the same."""
    return ConversionChangedV1(
        event_id=derived_id(conversion_id, f"v{version}"),
        occurred_at=occurred_at or START + timedelta(minutes=version),
        conversion_id=str(conversion_id),
        version=version,
        change=change,
        status=status,
        merchant_id=merchant_id,
        conversion_event=event,
        first_received_at=START,
        order_id=f"O-{conversion_id.hex[:8]}",
        offer_id=offer_id,
        offer_version=offer_version if offer_id is not None else None,
        affiliate_id=affiliate_id if offer_id is not None else None,
        order_amount=ordered,
        net_amount=net if net is not None else ordered,
        reason_code=reason_code,
    )


def received(
    event: ConversionChangedV1 | OfferVersionPublishedV1 | AffiliateChangedV1 | MerchantChangedV1,
    *,
    offset: int = 0,
    partition: int = 0,
) -> Received:
    """The event as the log gives it."""
    if isinstance(event, ConversionChangedV1):
        return Received(CONVERSIONS, partition, offset, event.conversion_id.encode(), encode_event(event))
    if isinstance(event, AffiliateChangedV1):
        key = affiliate_key(event.affiliate_id)
    elif isinstance(event, MerchantChangedV1):
        key = merchant_key(event.merchant_id)
    else:
        key = offer_version_key(event.offer_id, event.version)
    return Received(CATALOGUE, partition, offset, key.encode(), encode_event(event))


Outcome = Literal["pending", "approved", "reversed", "rejected"]


async def tell_of_merchant(worker: Database, merchant_id: int) -> None:
    """The catalogue tells of a merchant."""
    event = MerchantChangedV1(
        event_id=new_id(), occurred_at=START, merchant_id=merchant_id, name="Shop", status="active"
    )
    async with worker.transaction() as session:
        await apply_projection(session, [received(event)])


async def tell_of_offer(worker: Database, offer_id: int) -> None:
    """The catalogue tells of an offer of merchant 7."""
    event = OfferChangedV1(
        event_id=new_id(),
        occurred_at=START,
        offer_id=offer_id,
        merchant_id=7,
        name="Shoes",
        status="active",
        current_version=1,
    )
    key = offer_key(offer_id).encode()
    async with worker.transaction() as session:
        await apply_projection(session, [Received(CATALOGUE, 0, 0, key, encode_event(event))])
