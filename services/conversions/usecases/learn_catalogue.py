"""The catalogue's events in the words of our domain."""

from services.conversions.domain.bundle import EVENT_CLICK
from services.conversions.domain.catalogue import Catalogue, OfferVersion
from shared.contracts.catalogue import (
    CATALOGUE_DECODER,
    MerchantChangedV1,
    OfferChangedV1,
    OfferVersionPublishedV1,
)


def learn_catalogue(catalogue: Catalogue, payload: bytes) -> None:
    """Feed one event of catalogue.v1 to the view in memory. Raises EventUndecodable."""
    event = CATALOGUE_DECODER.decode(payload)
    if isinstance(event, OfferVersionPublishedV1):
        catalogue.put_version(offer_version_of(event))
    elif isinstance(event, OfferChangedV1):
        catalogue.put_offer(event.offer_id, event.merchant_id)
    elif isinstance(event, MerchantChangedV1):
        catalogue.put_merchant(event.merchant_id)


def offer_version_of(event: OfferVersionPublishedV1) -> OfferVersion:
    """The part of an offer version that decides over conversions."""
    reported = [term for term in event.terms if term.event != EVENT_CLICK]
    return OfferVersion(
        offer_id=event.offer_id,
        version=event.version,
        merchant_id=event.merchant_id,
        window_min_seconds=event.window_min_seconds,
        window_max_seconds=event.window_max_seconds,
        late_hours=event.late_hours,
        validation_days=event.validation_days,
        needs_amount={term.event: term.kind != "flat" for term in reported},
        recurring_months={term.event: term.recurring_months for term in reported if term.recurring_months is not None},
        pays_clicks=len(reported) < len(event.terms),
    )
