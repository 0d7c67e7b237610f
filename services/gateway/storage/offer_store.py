"""Offers and their versions."""

# ruff: noqa: S608 - statements are put together from names of this module only

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from services.gateway.domain.offers import Offer, OfferStatus, OfferVersion, VersionContent
from services.gateway.domain.terms import Cap
from services.gateway.storage.session import execute, fetch_all, fetch_one
from services.gateway.storage.term_codec import decode_caps, decode_terms, encode_caps, encode_terms
from shared.runtime.database import Session

_OFFER = "offer_id, merchant_id, name, status, current_version, fallback_url, created_at, changed_at"
_VERSION = (
    "offer_id, version, merchant_id, landing_template, allowed_hosts, window_min_seconds, window_max_seconds,"
    " late_hours, validation_days, hold_days, click_id_parameter, referrer_policy, terms::text AS terms,"
    " caps::text AS caps, pays_in, created_at"
)


def _offer(row: Row[Any]) -> Offer:
    return Offer(
        offer_id=row.offer_id,
        merchant_id=row.merchant_id,
        name=row.name,
        status=OfferStatus(row.status),
        current_version=row.current_version,
        fallback_url=row.fallback_url,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _version(row: Row[Any]) -> OfferVersion:
    content = VersionContent(
        landing_template=row.landing_template,
        allowed_hosts=tuple(row.allowed_hosts),
        window_min_seconds=row.window_min_seconds,
        window_max_seconds=row.window_max_seconds,
        late_hours=row.late_hours,
        validation_days=row.validation_days,
        hold_days=row.hold_days,
        click_id_parameter=row.click_id_parameter,
        referrer_policy=row.referrer_policy,
        terms=decode_terms(row.terms),
        caps=decode_caps(row.caps),
        pays_in=row.pays_in,
    )
    return OfferVersion(
        offer_id=row.offer_id,
        version=row.version,
        merchant_id=row.merchant_id,
        content=content,
        created_at=row.created_at,
    )


async def insert_offer(
    session: Session, *, merchant_id: int, name: str, fallback_url: str | None, now: datetime
) -> Offer:
    """A new active offer at version 1, numbered by the database."""
    statement = (
        "INSERT INTO offer (merchant_id, name, fallback_url, current_version, created_at, changed_at)"
        f" VALUES ($1, $2, $3, 1, $4, $4) RETURNING {_OFFER}"
    )
    row = await fetch_one(session, statement, merchant_id, name, fallback_url, now)
    assert row is not None
    return _offer(row)


async def insert_version(session: Session, version: OfferVersion) -> None:
    """Store a version for ever. The caller holds the offer's row lock."""
    content = version.content
    await execute(
        session,
        "INSERT INTO offer_version (offer_id, version, merchant_id, landing_template, allowed_hosts,"
        " window_min_seconds, window_max_seconds, late_hours, validation_days, hold_days, click_id_parameter,"
        " referrer_policy, terms, caps, pays_in, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::text::jsonb, $14::text::jsonb, $15, $16)",
        version.offer_id,
        version.version,
        version.merchant_id,
        content.landing_template,
        list(content.allowed_hosts),
        content.window_min_seconds,
        content.window_max_seconds,
        content.late_hours,
        content.validation_days,
        content.hold_days,
        content.click_id_parameter,
        content.referrer_policy,
        encode_terms(content.terms),
        encode_caps(content.caps),
        content.pays_in,
        version.created_at,
    )


async def lock_offer(session: Session, offer_id: int) -> Offer | None:
    """The offer, locked until the transaction ends."""
    row = await fetch_one(session, f"SELECT {_OFFER} FROM offer WHERE offer_id = $1 FOR UPDATE", offer_id)
    return None if row is None else _offer(row)


async def find_offer(session: Session, offer_id: int) -> Offer | None:
    """The offer, if the caller may see it."""
    row = await fetch_one(session, f"SELECT {_OFFER} FROM offer WHERE offer_id = $1", offer_id)
    return None if row is None else _offer(row)


async def store_offer(session: Session, offer: Offer) -> None:
    """Write what may change of an offer. The caller holds its row lock."""
    await execute(
        session,
        "UPDATE offer SET name = $2, status = $3, current_version = $4, fallback_url = $5, changed_at = $6"
        " WHERE offer_id = $1",
        offer.offer_id,
        offer.name,
        offer.status.value,
        offer.current_version,
        offer.fallback_url,
        offer.changed_at,
    )


async def list_offers(
    session: Session, *, merchant_id: int | None, status: str | None, after_id: int, limit: int
) -> Sequence[Offer]:
    """Offers by number, those the caller may see."""
    statement = (
        f"SELECT {_OFFER} FROM offer WHERE offer_id > $1 AND ($2::int IS NULL OR merchant_id = $2)"
        " AND ($3::text IS NULL OR status = $3) ORDER BY offer_id LIMIT $4"
    )
    return [_offer(row) for row in await fetch_all(session, statement, after_id, merchant_id, status, limit)]


async def find_version(session: Session, *, offer_id: int, version: int) -> OfferVersion | None:
    """One version, if the caller may see it."""
    statement = f"SELECT {_VERSION} FROM offer_version WHERE offer_id = $1 AND version = $2"
    row = await fetch_one(session, statement, offer_id, version)
    return None if row is None else _version(row)


async def find_current_versions(session: Session, offers: Sequence[Offer]) -> dict[int, OfferVersion]:
    """The current version of each offer, by offer number."""
    statement = (
        f"SELECT {_VERSION} FROM offer_version WHERE (offer_id, version) IN"
        " (SELECT * FROM unnest($1::int[], $2::int[]))"
    )
    rows = await fetch_all(
        session, statement, [offer.offer_id for offer in offers], [offer.current_version for offer in offers]
    )
    return {row.offer_id: _version(row) for row in rows}


async def list_versions(session: Session, *, offer_id: int, after_version: int, limit: int) -> Sequence[OfferVersion]:
    """An offer's versions, oldest first."""
    statement = f"SELECT {_VERSION} FROM offer_version WHERE offer_id = $1 AND version > $2 ORDER BY version LIMIT $3"
    return [_version(row) for row in await fetch_all(session, statement, offer_id, after_version, limit)]


async def list_caps(session: Session, offer_id: int) -> Sequence[Cap]:
    """Every cap that any version of the offer ever had, oldest first."""
    statement = "SELECT caps::text AS caps FROM offer_version WHERE offer_id = $1 AND caps <> '[]' ORDER BY version"
    return [cap for row in await fetch_all(session, statement, offer_id) for cap in decode_caps(row.caps)]
