"""Offers as JSON: bodies in, answers out. Affiliates see their own side of the terms."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from services.gateway.api.term_answers import CapAnswer, TermAnswer
from services.gateway.api.term_models import Caps, TermBody
from services.gateway.domain.offer_rules import ALLOWED_HOSTS_MAX, TERMS_MAX, VersionDraft
from services.gateway.domain.offers import Offer, OfferStatus, OfferVersion
from services.gateway.domain.term_sight import AffiliateSight
from shared.runtime.http_app import PlainText, StrictModel, WireId


class WindowBody(StrictModel):
    """The age of a click that converts, both ends inclusive."""

    min_seconds: int = 0
    max_seconds: int


class VersionBody(StrictModel):
    """A new version of an offer. name, fallback_url: change those of the offer where they are present.

    pays_in: the currency of everything the offer pays; left out: each order's own, and flat amounts in theirs.
    """

    merchant_id: WireId | None = None
    name: Annotated[str | None, PlainText(120)] = None
    fallback_url: str | None = None
    landing_template: Annotated[str, Field(max_length=2_048)]
    allowed_hosts: Annotated[list[str], Field(max_length=ALLOWED_HOSTS_MAX)] = []  # noqa: RUF012
    window: WindowBody
    late_hours: int
    validation_days: int
    hold_days: int = 0
    click_id_parameter: str = "click_id"
    referrer_policy: str = "no-referrer-when-downgrade"
    terms: Annotated[list[TermBody], Field(min_length=1, max_length=TERMS_MAX)]
    caps: Caps = []  # noqa: RUF012
    pays_in: str | None = None

    def draft(self) -> VersionDraft:
        """For the domain to judge."""
        return VersionDraft(
            landing_template=self.landing_template,
            allowed_hosts=self.allowed_hosts,
            window_min_seconds=self.window.min_seconds,
            window_max_seconds=self.window.max_seconds,
            late_hours=self.late_hours,
            validation_days=self.validation_days,
            hold_days=self.hold_days,
            click_id_parameter=self.click_id_parameter,
            referrer_policy=self.referrer_policy,
            terms=[term.draft() for term in self.terms],
            caps=[cap.draft() for cap in self.caps],
            pays_in=self.pays_in,
        )


class OfferBody(VersionBody):
    """A new offer with its first version."""

    merchant_id: WireId
    name: Annotated[str, PlainText(120)]


class WindowAnswer(BaseModel):
    """See WindowBody."""

    min_seconds: int
    max_seconds: int


class OfferVersionAnswer(BaseModel):
    """One immutable version."""

    offer_id: int
    version: int
    merchant_id: int
    landing_template: str
    allowed_hosts: list[str]
    window: WindowAnswer
    late_hours: int
    validation_days: int
    hold_days: int
    click_id_parameter: str
    referrer_policy: str
    terms: list[TermAnswer]
    caps: list[CapAnswer]
    pays_in: str | None
    created_at: datetime

    @classmethod
    def of(cls, version: OfferVersion, *, seen_by: AffiliateSight | None = None) -> "OfferVersionAnswer":
        """`version` as the API shows it. seen_by: None for those who see all of it."""
        content = version.content
        terms = content.terms if seen_by is None else [seen_by.of(term) for term in content.terms]
        return cls(
            offer_id=version.offer_id,
            version=version.version,
            merchant_id=version.merchant_id,
            landing_template=content.landing_template,
            allowed_hosts=list(content.allowed_hosts),
            window=WindowAnswer(min_seconds=content.window_min_seconds, max_seconds=content.window_max_seconds),
            late_hours=content.late_hours,
            validation_days=content.validation_days,
            hold_days=content.hold_days,
            click_id_parameter=content.click_id_parameter,
            referrer_policy=content.referrer_policy,
            terms=[TermAnswer.of(term, with_margin=seen_by is None) for term in terms],
            caps=[CapAnswer.of(cap) for cap in content.caps],
            pays_in=content.pays_in,
            created_at=version.created_at,
        )


class OfferAnswer(BaseModel):
    """An offer with its current version."""

    id: int
    merchant_id: int
    name: str
    status: OfferStatus
    current_version: int
    fallback_url: str | None
    created_at: datetime
    changed_at: datetime
    version: OfferVersionAnswer

    @classmethod
    def of(cls, offer: Offer, version: OfferVersion, *, seen_by: AffiliateSight | None = None) -> "OfferAnswer":
        """`offer` as the API shows it. seen_by: None for those who see all of it."""
        return cls(
            id=offer.offer_id,
            merchant_id=offer.merchant_id,
            name=offer.name,
            status=offer.status,
            current_version=offer.current_version,
            fallback_url=offer.fallback_url,
            created_at=offer.created_at,
            changed_at=offer.changed_at,
            version=OfferVersionAnswer.of(version, seen_by=seen_by),
        )
