"""Payout settings, version by version, their sealed details, and the affiliates whose payouts are stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from services.commissions.domain.payout_settings import Frequency, Method, PayoutSettings
from shared.contracts.catalogue import affiliate_key
from shared.runtime.database import Session

_COLUMNS: Final = (
    "settings_id, affiliate_id, version, currency, threshold_minor, frequency, weekday, net_days, method, country,"
    " masked::text AS masked, details_changed_at, held_until, changed_at"
)
_LOCK_SPACE: Final = 7_406_240


@dataclass(frozen=True, slots=True)
class SealedDetails:
    """A version's sealed details. Its first byte names the sealing key."""

    settings_id: UUID
    sealed_details: bytes


@dataclass(frozen=True, slots=True)
class FrozenVersion:
    """What a line is paid by: a version's sealed details, and the country of its account."""

    settings_id: UUID
    sealed_details: bytes
    country: str


@dataclass(frozen=True, slots=True)
class PayoutStop:
    """An affiliate whose payouts finance has stopped."""

    affiliate_id: int
    reason_code: str
    stopped_at: datetime


async def lock_affiliate_settings(session: Session, affiliate_id: int) -> None:
    """Two changes of one affiliate's settings go one after the other."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, $2::bigint))", (f"payout {affiliate_id}", _LOCK_SPACE)
    )


async def find_settings(session: Session, affiliate_id: int, *, version: int | None = None) -> PayoutSettings | None:
    """The newest version, or the one named."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM payout_settings WHERE affiliate_id = $1 AND ($2::int IS NULL OR version = $2)"  # noqa: S608
        " ORDER BY version DESC LIMIT 1",
        (affiliate_id, version),
    )
    row = result.one_or_none()
    return None if row is None else _settings(row)


async def find_newest_settings(session: Session, affiliate_ids: Sequence[int]) -> dict[int, PayoutSettings]:
    """The newest version of each of these affiliates that has any."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT DISTINCT ON (affiliate_id) {_COLUMNS} FROM payout_settings"  # noqa: S608
        " WHERE affiliate_id = ANY ($1::int[]) ORDER BY affiliate_id, version DESC",
        (list(affiliate_ids),),
    )
    return {row.affiliate_id: _settings(row) for row in result}


async def find_sealed_details(session: Session, affiliate_id: int, version: int) -> SealedDetails:
    """One version's details, sealed."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT settings_id, sealed_details FROM payout_settings WHERE affiliate_id = $1 AND version = $2",
        (affiliate_id, version),
    )
    row = result.one()
    return SealedDetails(row.settings_id, bytes(row.sealed_details))


async def find_versions(session: Session, named: Sequence[tuple[int, int]]) -> dict[int, FrozenVersion]:
    """These versions, named by (affiliate, version), by affiliate."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT affiliate_id, settings_id, sealed_details, country FROM payout_settings"
        " JOIN unnest($1::int[], $2::int[]) AS named (affiliate_id, version) USING (affiliate_id, version)",
        ([affiliate_id for affiliate_id, _ in named], [version for _, version in named]),
    )
    return {row.affiliate_id: FrozenVersion(row.settings_id, bytes(row.sealed_details), row.country) for row in result}


async def insert_settings(session: Session, settings: PayoutSettings, sealed_details: bytes) -> None:
    """A new version."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO payout_settings (settings_id, affiliate_id, version, currency, threshold_minor, frequency,"
        " weekday, net_days, method, country, masked, details_changed_at, held_until, changed_at, sealed_details)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::jsonb, $12, $13, $14, $15)",
        (
            settings.settings_id,
            settings.affiliate_id,
            settings.version,
            settings.currency,
            settings.threshold_minor,
            settings.frequency.value,
            settings.weekday,
            settings.net_days,
            settings.method.value,
            settings.country,
            orjson.dumps(dict(settings.masked)).decode(),
            settings.details_changed_at,
            settings.held_until,
            settings.changed_at,
            sealed_details,
        ),
    )


async def end_hold(session: Session, settings: PayoutSettings) -> None:
    """The version's details wait no longer."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE payout_settings SET held_until = NULL WHERE settings_id = $1", (settings.settings_id,)
    )


async def list_sealed_otherwise(
    session: Session, key_id: int, *, after_id: UUID | None, limit: int
) -> list[SealedDetails]:
    """By id, versions that another sealing key than `key_id` sealed; locked until the transaction ends."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT settings_id, sealed_details FROM payout_settings WHERE get_byte(sealed_details, 0) <> $1"
        " AND ($2::uuid IS NULL OR settings_id > $2) ORDER BY settings_id LIMIT $3 FOR UPDATE",
        (key_id, after_id, limit),
    )
    return [SealedDetails(row.settings_id, bytes(row.sealed_details)) for row in result]


async def store_sealed_details(session: Session, settings_id: UUID, sealed_details: bytes) -> None:
    """The same details in another seal. The caller holds the row's lock."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE payout_settings SET sealed_details = $2 WHERE settings_id = $1", (settings_id, sealed_details)
    )


async def count_details_sealed_with(session: Session, key_id: int) -> int:
    """Versions that only this key opens: a file exported before could not be written again without it."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT count(*) FROM payout_settings WHERE get_byte(sealed_details, 0) = $1", (key_id,)
    )
    return int(result.scalar_one())


async def find_stops(session: Session, *, after_id: int, limit: int) -> list[PayoutStop]:
    """Who is stopped, by affiliate, above `after_id`."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT affiliate_id, reason_code, stopped_at FROM payout_stop WHERE affiliate_id > $1"
        " ORDER BY affiliate_id LIMIT $2",
        (after_id, limit),
    )
    return [PayoutStop(row.affiliate_id, row.reason_code, row.stopped_at) for row in result]


async def find_stopped(session: Session, affiliate_ids: Sequence[int]) -> set[int]:
    """Those of these affiliates whose payouts are stopped."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT affiliate_id FROM payout_stop WHERE affiliate_id = ANY ($1::int[])", (list(affiliate_ids),)
    )
    return {row.affiliate_id for row in result}


async def find_stop(session: Session, affiliate_id: int) -> PayoutStop | None:
    """The stop of one affiliate."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT affiliate_id, reason_code, stopped_at FROM payout_stop WHERE affiliate_id = $1", (affiliate_id,)
    )
    row = result.one_or_none()
    return None if row is None else PayoutStop(row.affiliate_id, row.reason_code, row.stopped_at)


async def insert_stop(session: Session, stop: PayoutStop) -> None:
    """Stop an affiliate's payouts."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO payout_stop (affiliate_id, reason_code, stopped_at) VALUES ($1, $2, $3)",
        (stop.affiliate_id, stop.reason_code, stop.stopped_at),
    )


async def delete_stop(session: Session, affiliate_id: int) -> PayoutStop | None:
    """Let an affiliate's payouts go on; gives the stop that was, None where there was none."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "DELETE FROM payout_stop WHERE affiliate_id = $1 RETURNING affiliate_id, reason_code, stopped_at",
        (affiliate_id,),
    )
    row = result.one_or_none()
    return None if row is None else PayoutStop(row.affiliate_id, row.reason_code, row.stopped_at)


async def find_affiliate_payloads(session: Session, affiliate_ids: Sequence[int]) -> list[bytes]:
    """What the catalogue last said of each of these affiliates that it knows, as events' bytes."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT payload FROM projection_entry WHERE key = ANY ($1::text[])",
        ([affiliate_key(each) for each in affiliate_ids],),
    )
    return [bytes(row.payload) for row in result]


def _settings(row: Any) -> PayoutSettings:
    return PayoutSettings(
        settings_id=row.settings_id,
        affiliate_id=row.affiliate_id,
        version=row.version,
        currency=row.currency,
        threshold_minor=row.threshold_minor,
        frequency=Frequency(row.frequency),
        weekday=row.weekday,
        net_days=row.net_days,
        method=Method(row.method),
        country=row.country,
        masked=orjson.loads(row.masked),
        details_changed_at=row.details_changed_at,
        held_until=row.held_until,
        changed_at=row.changed_at,
    )
