"""What the redirect knows of offers and enrolments, in memory and ready to use."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.clicks.domain.landing import Landing
from services.clicks.domain.web_address import AllowedHosts

REFERRER_POLICIES: Final = frozenset(
    {
        "no-referrer",
        "no-referrer-when-downgrade",
        "origin",
        "origin-when-cross-origin",
        "same-origin",
        "strict-origin",
        "strict-origin-when-cross-origin",
        "unsafe-url",
    }
)
REFERRER_POLICY_DEFAULT: Final = "no-referrer-when-downgrade"


@dataclass(frozen=True, slots=True)
class OfferVersion:
    """One immutable version of an offer. window_*_seconds: age of a click that converts, both inclusive.

    referrer_policy: as the header has it.
    """

    offer_id: int
    version: int
    landing: Landing
    allowed_hosts: AllowedHosts
    click_id_parameter: str
    referrer_policy: bytes
    window_min_seconds: int
    window_max_seconds: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What may change of an offer. fallback: where its shoppers go while it takes no clicks that count."""

    offer_id: int
    merchant_id: int
    name: str
    is_active: bool
    current_version: int
    fallback: Landing | None


@dataclass(frozen=True, slots=True)
class OfferPlan:
    """An offer with the version its new clicks carry. is_active: the offer's and its merchant's status together.

    fallback: the offer's, with this version's parameter for the click ID.
    """

    offer: Offer
    version: OfferVersion
    is_active: bool
    fallback: Landing | None


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open `[start_at, end_at)`; end_at None: open."""

    start_at: datetime
    end_at: datetime | None

    def holds(self, instant: datetime) -> bool:
        """True when `instant` lies inside."""
        return self.start_at <= instant and (self.end_at is None or instant < self.end_at)


class Catalogue:
    """Offers by id with everything a click needs; fed change by change, in any order, last one wins."""

    def __init__(self) -> None:
        self._offers: dict[int, Offer] = {}
        self._versions: dict[int, dict[int, OfferVersion]] = {}
        self._plans: dict[int, OfferPlan] = {}
        self._enrolments: dict[int, dict[int, tuple[Interval, ...]]] = {}
        self._suspended_affiliates: set[int] = set()
        self._suspended_merchants: set[int] = set()

    def put_offer(self, offer: Offer) -> None:
        """Learn an offer's present state."""
        self._offers[offer.offer_id] = offer
        self._plan(offer.offer_id)

    def put_version(self, version: OfferVersion) -> None:
        """Learn an offer version."""
        self._versions.setdefault(version.offer_id, {})[version.version] = version
        self._plan(version.offer_id)

    def put_enrolment(self, offer_id: int, affiliate_id: int, intervals: Iterable[Interval]) -> None:
        """Learn every interval of an enrolment."""
        self._enrolments.setdefault(affiliate_id, {})[offer_id] = tuple(intervals)

    def put_affiliate(self, affiliate_id: int, *, is_active: bool) -> None:
        """Learn an affiliate's status: a suspended one is enrolled nowhere."""
        (self._suspended_affiliates.discard if is_active else self._suspended_affiliates.add)(affiliate_id)

    def put_merchant(self, merchant_id: int, *, is_active: bool) -> None:
        """Learn a merchant's status: no offer of a suspended one is active."""
        (self._suspended_merchants.discard if is_active else self._suspended_merchants.add)(merchant_id)
        for offer in self._offers.values():
            if offer.merchant_id == merchant_id:
                self._plan(offer.offer_id)

    def find_plan(self, offer_id: int) -> OfferPlan | None:
        """The offer with its current version; None when unknown here, or not yet complete."""
        return self._plans.get(offer_id)

    def is_enrolled(self, offer_id: int, affiliate_id: int, at: datetime) -> bool:
        """True when the affiliate was approved for the offer at that instant."""
        if affiliate_id in self._suspended_affiliates:
            return False
        offers = self._enrolments.get(affiliate_id)
        if offers is None:
            return False
        return any(interval.holds(at) for interval in offers.get(offer_id, ()))

    def links_of(self, affiliate_id: int, at: datetime, *, after_offer_id: int = 0) -> list[OfferPlan]:
        """The active offers the affiliate is enrolled in at that instant, by offer id, above `after_offer_id`."""
        return [
            plan
            for offer_id in sorted(self._enrolments.get(affiliate_id, {}))
            if offer_id > after_offer_id
            and (plan := self._plans.get(offer_id)) is not None
            and plan.is_active
            and self.is_enrolled(offer_id, affiliate_id, at)
        ]

    def _plan(self, offer_id: int) -> None:
        offer = self._offers.get(offer_id)
        versions = self._versions.get(offer_id, {})
        if offer is None or not versions:
            return
        # A version that is announced and not here yet: the shopper arrives by the newest one before it.
        version = versions.get(offer.current_version) or _newest(versions, offer.current_version)
        if version is not None:
            is_active = offer.is_active and offer.merchant_id not in self._suspended_merchants
            fallback = offer.fallback and offer.fallback.with_click_id_parameter(version.click_id_parameter)
            self._plans[offer_id] = OfferPlan(offer=offer, version=version, is_active=is_active, fallback=fallback)


def _newest(versions: dict[int, OfferVersion], limit: int) -> OfferVersion | None:
    number = max((number for number in versions if number <= limit), default=None)
    return None if number is None else versions[number]
