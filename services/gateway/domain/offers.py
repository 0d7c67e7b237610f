"""Offers and their immutable, numbered versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from services.gateway.domain.refusals import CatalogueConflict
from services.gateway.domain.terms import Cap, Term
from shared.kernel.ids import OFFER_VERSION_MAX


class OfferStatus(StrEnum):
    """Whether clicks on an offer count."""

    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


OFFER_TRANSITIONS: Final[Mapping[OfferStatus, frozenset[OfferStatus]]] = MappingProxyType(
    {
        OfferStatus.ACTIVE: frozenset({OfferStatus.PAUSED, OfferStatus.ENDED}),
        OfferStatus.PAUSED: frozenset({OfferStatus.ACTIVE, OfferStatus.ENDED}),
        OfferStatus.ENDED: frozenset(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionContent:
    """Everything an offer version fixes. Limits and meaning: see `offer_rules` and the contract's docstring.

    pays_in: the currency of everything it pays; None: of each order, or of each flat amount.
    """

    landing_template: str
    allowed_hosts: tuple[str, ...]
    window_min_seconds: int
    window_max_seconds: int
    late_hours: int
    validation_days: int
    hold_days: int
    click_id_parameter: str
    referrer_policy: str
    terms: tuple[Term, ...]
    caps: tuple[Cap, ...] = ()
    pays_in: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferVersion:
    """One published version: never changed again (I10)."""

    offer_id: int
    version: int
    merchant_id: int
    content: VersionContent
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What may change of an offer. current_version: the one that new clicks carry."""

    offer_id: int
    merchant_id: int
    name: str
    status: OfferStatus
    current_version: int
    fallback_url: str | None
    created_at: datetime
    changed_at: datetime


def may_become(offer: Offer, wanted: OfferStatus) -> bool:
    """False when the offer has that status already. Raises CatalogueConflict where the table has no such step."""
    if offer.status == wanted:
        return False
    if wanted not in OFFER_TRANSITIONS[offer.status]:
        raise CatalogueConflict("offer_transition_refused", f"an offer that is {offer.status} cannot become {wanted}")
    return True


def following_version(offer: Offer) -> int:
    """The number of the next version. Raises CatalogueConflict for an ended offer, or when numbers run out."""
    if offer.status == OfferStatus.ENDED:
        raise CatalogueConflict("offer_ended", "an ended offer takes no new version")
    if offer.current_version >= OFFER_VERSION_MAX:
        raise CatalogueConflict("offer_versions_exhausted", f"an offer has at most {OFFER_VERSION_MAX} versions")
    return offer.current_version + 1
