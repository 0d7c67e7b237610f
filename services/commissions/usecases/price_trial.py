"""Price a conversion that never happened, under a published offer version: nothing is written."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from services.commissions.domain.catalogue import read_offer_version
from services.commissions.domain.orders import Exchange, Order, exchange_of, exchanged
from services.commissions.domain.pricing import Explanation, explain
from services.commissions.domain.read_terms import read_referral
from services.commissions.domain.referral import referral_of
from services.commissions.domain.rules import Given
from services.commissions.domain.terms import general
from services.commissions.storage.commission_store import find_projected
from shared.contracts.catalogue import (
    CATALOGUE_DECODER,
    OfferChangedV1,
    OfferVersionPublishedV1,
    offer_key,
    offer_version_key,
)
from shared.contracts.commissions import RateUsedV1
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.money import Money
from shared.runtime.database import Session

SOURCE: Final = "dry_run"
"""Of a rate that somebody tried."""


class OfferVersionUnknown(TributaryError):
    """There is no such offer version, it has not arrived, or it is another merchant's."""

    code = "offer_version_not_found"


@dataclass(frozen=True, slots=True)
class Trial:
    """A hypothetical conversion. version None: the one that new clicks carry.

    rate: one unit of the order's currency in the one that the offer pays in, where that is another.
    """

    offer_id: int
    version: int | None
    event: str
    order: Order
    given: Given
    rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TrialPrice:
    """What it would be worth. referral: to whoever brought the affiliate, None where the term has no second level.

    exceeds_order: whether all that the merchant would pay is more than what is left of the order.
    """

    merchant_id: int
    version: int
    price: Explanation
    referral: Money | None
    exceeds_order: bool


async def price_trial(session: Session, trial: Trial, *, today: date, merchant_id: int | None = None) -> TrialPrice:
    """Price `trial`, of that merchant's offers only if one is given. Reads the catalogue and writes nothing.

    today: the day that a tried exchange rate is shown with.

    Raises OfferVersionUnknown; InvalidValue where the version does not price the event, or a rate is missing;
    PricingImpossible where the conversion would become a dead letter.
    """
    published = await _find_version(session, trial)
    if merchant_id not in (None, published.merchant_id):
        raise OfferVersionUnknown("there is no such offer version")
    priced = read_offer_version(published).terms.get(trial.event)
    if priced is None:
        raise InvalidValue("event", "event_not_priced", "must be an event that the offer version has a term for")
    tiers = general(priced.term).tiers
    if tiers is not None and any(level >= len(tiers.tiers) for level, _ in trial.given.levels):
        raise InvalidValue("tier", "tier_unknown", "must be a level that the term has, from 0")
    given = replace(trial.given, exchange=_exchange(published, trial, today))
    found = explain(priced.term, trial.order, given)
    referral = read_referral(priced.source)
    extra = None if referral is None else referral_of(referral, found)
    return TrialPrice(published.merchant_id, published.version, found, extra, _exceeds(found, extra, trial.order))


async def _find_version(session: Session, trial: Trial) -> OfferVersionPublishedV1:
    version = trial.version if trial.version is not None else await _current_version(session, trial.offer_id)
    key = offer_version_key(trial.offer_id, version)
    stored = (await find_projected(session, [key])).get(key)
    event = None if stored is None else CATALOGUE_DECODER.decode(stored)
    if not isinstance(event, OfferVersionPublishedV1):
        raise OfferVersionUnknown("there is no such offer version")
    return event


async def _current_version(session: Session, offer_id: int) -> int:
    key = offer_key(offer_id)
    stored = (await find_projected(session, [key])).get(key)
    event = None if stored is None else CATALOGUE_DECODER.decode(stored)
    if not isinstance(event, OfferChangedV1):
        raise OfferVersionUnknown("there is no such offer")
    return event.current_version


def _exchange(published: OfferVersionPublishedV1, trial: Trial, today: date) -> Exchange | None:
    net, pays_in = trial.order.net, published.pays_in
    if pays_in is None or net is None or net.currency == pays_in:
        return None
    if trial.rate is None:
        raise InvalidValue("exchange_rate", "missing", "is required: the offer pays in another currency")
    rate, as_of = f"{trial.rate:f}", today.isoformat()
    return exchange_of(RateUsedV1(base=net.currency, quote=pays_in, rate=rate, source=SOURCE, as_of=as_of))


def _exceeds(found: Explanation, extra: Money | None, order: Order) -> bool:
    """Compared in one currency only: a flat amount in another one than the order's has no size beside it."""
    if order.net is None:
        return False
    currency, left = exchanged(order.net, found.exchange)
    total = found.price.commission + found.price.margin + (extra or Money(0, found.price.margin.currency))
    return currency == total.currency and total.amount_minor > left
