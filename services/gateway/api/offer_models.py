"""Offers as JSON: bodies in, answers out. Margins are shown to everyone but affiliates."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.gateway.domain.offer_rules import ALLOWED_HOSTS_MAX, TERMS_MAX, AmountText, TermDraft, VersionDraft
from services.gateway.domain.offers import Offer, OfferStatus, OfferVersion, Term
from services.gateway.storage.term_codec import wire_term
from shared.kernel.money import Money
from shared.runtime.http_app import MoneyAnswer, MoneyModel, PlainText, StrictModel, WireId


class WindowBody(StrictModel):
    """The age of a click that converts, both ends inclusive."""

    min_seconds: int = 0
    max_seconds: int


class TermBody(StrictModel):
    """One event's pay: a percentage with its margin, or a flat amount with its margin."""

    event: str
    kind: Literal["percentage", "flat"]
    rate_percent: str | None = None
    margin_percent: str | None = None
    amount: MoneyModel | None = None
    margin: MoneyModel | None = None

    def draft(self) -> TermDraft:
        """For the domain to judge."""
        return TermDraft(
            event=self.event,
            kind=self.kind,
            rate_percent=self.rate_percent,
            margin_percent=self.margin_percent,
            amount=_amount_text(self.amount),
            margin=_amount_text(self.margin),
        )


class VersionBody(StrictModel):
    """A new version of an offer. name, fallback_url: change those of the offer where they are present."""

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
        )


class OfferBody(VersionBody):
    """A new offer with its first version."""

    merchant_id: WireId
    name: Annotated[str, PlainText(120)]


class WindowAnswer(BaseModel):
    """See WindowBody."""

    min_seconds: int
    max_seconds: int


class TermAnswer(BaseModel):
    """See TermBody. Fields of the other kind are null, margins too for affiliates."""

    event: str
    kind: str
    rate_percent: str | None = None
    margin_percent: str | None = None
    amount: MoneyAnswer | None = None
    margin: MoneyAnswer | None = None

    @classmethod
    def of(cls, term: Term, *, with_margin: bool) -> "TermAnswer":
        """`term` as the API shows it."""
        wire = wire_term(term)
        return cls(
            event=term.event,
            kind=term.kind,
            rate_percent=wire.rate_percent,
            margin_percent=wire.margin_percent if with_margin else None,
            amount=_money_answer(term.flat_amount),
            margin=_money_answer(term.margin_amount) if with_margin else None,
        )


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
    created_at: datetime

    @classmethod
    def of(cls, version: OfferVersion, *, with_margin: bool = True) -> "OfferVersionAnswer":
        """`version` as the API shows it."""
        content = version.content
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
            terms=[TermAnswer.of(term, with_margin=with_margin) for term in content.terms],
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
    def of(cls, offer: Offer, version: OfferVersion, *, with_margin: bool = True) -> "OfferAnswer":
        """`offer` as the API shows it."""
        return cls(
            id=offer.offer_id,
            merchant_id=offer.merchant_id,
            name=offer.name,
            status=offer.status,
            current_version=offer.current_version,
            fallback_url=offer.fallback_url,
            created_at=offer.created_at,
            changed_at=offer.changed_at,
            version=OfferVersionAnswer.of(version, with_margin=with_margin),
        )


def _amount_text(money: MoneyModel | None) -> AmountText | None:
    return None if money is None else (money.amount, money.currency)


def _money_answer(money: Money | None) -> MoneyAnswer | None:
    return None if money is None else MoneyAnswer.of(money)
