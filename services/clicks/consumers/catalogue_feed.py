"""Turns the stored projection of catalogue.v1 into the redirect's view in memory."""

from typing import Final

from services.clicks.domain.catalogue import (
    REFERRER_POLICIES,
    REFERRER_POLICY_DEFAULT,
    Catalogue,
    Interval,
    Offer,
    OfferVersion,
)
from services.clicks.domain.landing import Landing, compile_landing
from services.clicks.domain.web_address import AddressRefused, AllowedHosts
from shared.contracts.catalogue import (
    CATALOGUE_DECODER,
    AffiliateChangedV1,
    CatalogueEvent,
    EnrolmentChangedV1,
    MerchantChangedV1,
    OfferChangedV1,
    OfferVersionPublishedV1,
)
from shared.contracts.events import EventUndecodable
from shared.runtime.logging import get_logger

_ANY_PARAMETER: Final = "click_id"
"""Of a fallback, until it is joined with the version that names the real one."""

_log = get_logger(__name__)


class CatalogueFeed:
    """Applies one change of the catalogue at a time. An entry that cannot be used is logged; the others go on.

    allow_loopback_http: landing pages on this machine may be plain http (never in production).
    """

    def __init__(self, catalogue: Catalogue, *, allow_loopback_http: bool) -> None:
        self._catalogue = catalogue
        self._allow_loopback_http = allow_loopback_http

    def __call__(self, key: str, payload: bytes) -> None:
        """Take the present state of `key`."""
        try:
            self._apply(CATALOGUE_DECODER.decode(payload))
        except (EventUndecodable, AddressRefused) as fault:
            _log.error("catalogue_entry_unusable", key=key, reason=str(fault))

    def _apply(self, event: CatalogueEvent) -> None:
        if isinstance(event, OfferChangedV1):
            self._catalogue.put_offer(self._offer(event))
        elif isinstance(event, OfferVersionPublishedV1):
            self._catalogue.put_version(self._version(event))
        elif isinstance(event, EnrolmentChangedV1):
            intervals = (Interval(interval.start_at, interval.end_at) for interval in event.intervals)
            self._catalogue.put_enrolment(event.offer_id, event.affiliate_id, intervals)
        elif isinstance(event, AffiliateChangedV1):
            self._catalogue.put_affiliate(event.affiliate_id, is_active=event.status == "active")
        elif isinstance(event, MerchantChangedV1):
            self._catalogue.put_merchant(event.merchant_id, is_active=event.status == "active")

    def _offer(self, event: OfferChangedV1) -> Offer:
        return Offer(
            offer_id=event.offer_id,
            merchant_id=event.merchant_id,
            name=event.name,
            is_active=event.status == "active",
            current_version=event.current_version,
            fallback=self._fallback(event),
        )

    def _fallback(self, event: OfferChangedV1) -> Landing | None:
        """A fallback that cannot be used counts as none: the shopper arrives at the landing page."""
        if not event.fallback_url:
            return None
        try:
            return self._landing(event.fallback_url, _ANY_PARAMETER)
        except AddressRefused as fault:
            _log.error("fallback_url_unusable", offer_id=event.offer_id, reason=str(fault))
            return None

    def _version(self, event: OfferVersionPublishedV1) -> OfferVersion:
        policy = event.referrer_policy
        return OfferVersion(
            offer_id=event.offer_id,
            version=event.version,
            landing=self._landing(event.landing_template, event.click_id_parameter),
            allowed_hosts=AllowedHosts(event.allowed_hosts, allow_loopback_http=self._allow_loopback_http),
            click_id_parameter=event.click_id_parameter,
            referrer_policy=(policy if policy in REFERRER_POLICIES else REFERRER_POLICY_DEFAULT).encode("ascii"),
            window_min_seconds=event.window_min_seconds,
            window_max_seconds=event.window_max_seconds,
        )

    def _landing(self, template: str, click_id_parameter: str) -> Landing:
        return compile_landing(
            template, click_id_parameter=click_id_parameter, allow_loopback_http=self._allow_loopback_http
        )
