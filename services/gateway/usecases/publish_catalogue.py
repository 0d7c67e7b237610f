"""Tell everyone: the whole state of what changed, in the outbox, in the transaction of the change.

Call these while holding the aggregate's row lock: the outbox's order is then the aggregate's.
"""

from collections.abc import Sequence
from datetime import datetime

from services.gateway.domain.enrolments import Enrolment
from services.gateway.domain.intervals import Interval
from services.gateway.domain.offers import Offer, OfferVersion
from services.gateway.domain.parties import Affiliate, Merchant
from services.gateway.storage.term_codec import wire_cap, wire_term
from shared.contracts.catalogue import (
    AffiliateChangedV1,
    CatalogueEvent,
    EnrolmentChangedV1,
    IntervalV1,
    MerchantChangedV1,
    OfferChangedV1,
    OfferVersionPublishedV1,
    affiliate_key,
    enrolment_key,
    merchant_key,
    offer_key,
    offer_version_key,
)
from shared.contracts.events import encode_event
from shared.contracts.topics import CATALOGUE
from shared.kernel.ids import new_id
from shared.runtime.database import Session
from shared.runtime.outbox import OutgoingEvent, append


async def publish_merchant(session: Session, merchant: Merchant, now: datetime) -> None:
    """One MerchantChangedV1."""
    event = MerchantChangedV1(
        event_id=new_id(),
        occurred_at=now,
        merchant_id=merchant.merchant_id,
        name=merchant.name,
        status=merchant.status,
    )
    await append(session, [_outgoing(merchant_key(merchant.merchant_id), event)])


async def publish_affiliate(session: Session, affiliate: Affiliate, now: datetime) -> None:
    """One AffiliateChangedV1 with every interval in every group."""
    event = AffiliateChangedV1(
        event_id=new_id(),
        occurred_at=now,
        affiliate_id=affiliate.affiliate_id,
        name=affiliate.name,
        status=affiliate.status,
        groups={group.name: _wire_intervals(group.intervals) for group in affiliate.groups},
        referred_by=affiliate.referred_by,
    )
    await append(session, [_outgoing(affiliate_key(affiliate.affiliate_id), event)])


async def publish_offer(
    session: Session, offer: Offer, now: datetime, *, new_versions: Sequence[OfferVersion] = ()
) -> None:
    """One OfferChangedV1, after an OfferVersionPublishedV1 for each new version that it may point to."""
    events = [_outgoing(offer_version_key(v.offer_id, v.version), version_event(v)) for v in new_versions]
    changed = OfferChangedV1(
        event_id=new_id(),
        occurred_at=now,
        offer_id=offer.offer_id,
        merchant_id=offer.merchant_id,
        name=offer.name,
        status=offer.status.value,
        current_version=offer.current_version,
        fallback_url=offer.fallback_url,
    )
    await append(session, [*events, _outgoing(offer_key(offer.offer_id), changed)])


async def publish_enrolment(session: Session, enrolment: Enrolment, now: datetime) -> None:
    """One EnrolmentChangedV1 with every interval."""
    event = EnrolmentChangedV1(
        event_id=new_id(),
        occurred_at=now,
        offer_id=enrolment.offer_id,
        affiliate_id=enrolment.affiliate_id,
        merchant_id=enrolment.merchant_id,
        intervals=_wire_intervals(enrolment.intervals),
    )
    await append(session, [_outgoing(enrolment_key(enrolment.offer_id, enrolment.affiliate_id), event)])


def version_event(version: OfferVersion) -> OfferVersionPublishedV1:
    """What is published of a version, for ever."""
    content = version.content
    return OfferVersionPublishedV1(
        event_id=new_id(),
        occurred_at=version.created_at,
        offer_id=version.offer_id,
        version=version.version,
        merchant_id=version.merchant_id,
        landing_template=content.landing_template,
        allowed_hosts=list(content.allowed_hosts),
        window_min_seconds=content.window_min_seconds,
        window_max_seconds=content.window_max_seconds,
        late_hours=content.late_hours,
        validation_days=content.validation_days,
        terms=[wire_term(term) for term in content.terms],
        hold_days=content.hold_days,
        click_id_parameter=content.click_id_parameter,
        referrer_policy=content.referrer_policy,
        caps=[wire_cap(cap) for cap in content.caps],
        pays_in=content.pays_in,
    )


def _wire_intervals(intervals: Sequence[Interval]) -> list[IntervalV1]:
    return [IntervalV1(start_at=interval.start_at, end_at=interval.end_at) for interval in intervals]


def _outgoing(key: str, event: CatalogueEvent) -> OutgoingEvent:
    return OutgoingEvent(topic=CATALOGUE, key=key.encode(), event_id=event.event_id, payload=encode_event(event))
