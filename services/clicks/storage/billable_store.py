"""Clicks that an offer may pay for until they are judged, and the bundles they were settled in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text

from services.clicks.domain.billable import APART, HOUR, BillableClick
from shared.runtime.database import Session

_SETTLE_LOCK: Final = 7406233
"""Advisory: one transaction settles at a time, so that two never count one shopper twice."""


@dataclass(frozen=True, slots=True)
class LoggedClick:
    """A click as it is noted, not judged yet."""

    click: BillableClick
    offer_id: int


@dataclass(frozen=True, slots=True)
class DueHour:
    """An hour of an offer that may be settled."""

    offer_id: int
    hour_at: datetime


@dataclass(frozen=True, slots=True)
class BundleRow:
    """Settled clicks. part: from 1."""

    offer_id: int
    offer_version: int
    affiliate_id: int
    merchant_id: int
    hour_at: datetime
    part: int
    quantity: int
    settled_at: datetime


_NOTE = """
INSERT INTO billable_click
    (click_id, clicked_at, offer_id, offer_version, affiliate_id, merchant_id, shopper, logged_at)
SELECT given.*, $8 FROM unnest($1::bytea[], $2::timestamptz[], $3::int[], $4::int[], $5::int[], $6::int[], $7::text[])
    AS given(click_id, clicked_at, offer_id, offer_version, affiliate_id, merchant_id, shopper)
ON CONFLICT (click_id) DO NOTHING
"""
# A version nobody knows yet is no reason to wait for the others; it is looked at again when it has come.
_KNOWN = """
EXISTS (SELECT FROM projection_entry WHERE key = 'offer:' || offer_id || '\\:v' || offer_version)
"""
_DUE = f"""
SELECT offer_id, date_trunc('hour', clicked_at, 'UTC') AS hour_at FROM billable_click
WHERE is_valid IS NULL AND clicked_at < :before AND {_KNOWN}
GROUP BY 1, 2
HAVING max(logged_at) <= :quiet_since OR min(logged_at) <= :waited_since AND max(clicked_at) < :long_before
ORDER BY 2, 1 LIMIT 1
"""  # noqa: S608 (our own names)
_PENDING = f"""
SELECT click_id, clicked_at, offer_version, affiliate_id, merchant_id, shopper FROM billable_click
WHERE is_valid IS NULL AND offer_id = :offer_id AND clicked_at >= :hour_at AND clicked_at < :hour_end AND {_KNOWN}
ORDER BY clicked_at, click_id LIMIT :limit
"""  # noqa: S608


async def note_clicks(session: Session, clicks: Sequence[LoggedClick], now: datetime) -> None:
    """Keep those that are new until they are judged."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        _NOTE,
        (
            [logged.click.click_id for logged in clicks],
            [logged.click.clicked_at for logged in clicks],
            [logged.offer_id for logged in clicks],
            [logged.click.offer_version for logged in clicks],
            [logged.click.affiliate_id for logged in clicks],
            [logged.click.merchant_id for logged in clicks],
            [logged.click.shopper for logged in clicks],
            now,
        ),
    )


async def find_version_payloads(session: Session, keys: Collection[str]) -> dict[str, bytes]:
    """Payloads of the stored catalogue, by key."""
    result = await session.execute(
        text("SELECT key, payload FROM projection_entry WHERE key = ANY(:keys)"), {"keys": list(keys)}
    )
    return {row["key"]: bytes(row["payload"]) for row in result.mappings()}


async def may_settle(session: Session) -> bool:
    """True for the one transaction that settles now; the others leave it to it."""
    result = await session.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _SETTLE_LOCK})
    return bool(result.scalar_one())


async def find_due_hour(
    session: Session, *, before: datetime, quiet_since: datetime, long_before: datetime, waited_since: datetime
) -> DueHour | None:
    """The oldest hour with clicks to judge, all of it before `before`, where nothing came since `quiet_since`.

    Nor does one before `long_before` wait any longer for clicks that came until `waited_since`, however many still do.
    """
    result = await session.execute(
        text(_DUE),
        {
            "before": before,
            "quiet_since": quiet_since,
            "long_before": long_before,
            "waited_since": waited_since,
        },
    )
    row = result.mappings().first()
    return None if row is None else DueHour(**row)


async def find_pending(session: Session, due: DueHour, limit: int) -> list[BillableClick]:
    """The hour's clicks to judge, the earliest first."""
    result = await session.execute(
        text(_PENDING),
        {"offer_id": due.offer_id, "hour_at": due.hour_at, "hour_end": due.hour_at + HOUR, "limit": limit},
    )
    return [BillableClick(**{**row, "click_id": bytes(row["click_id"])}) for row in result.mappings()]


async def find_paid(session: Session, due: DueHour, shoppers: Collection[str]) -> Mapping[str, list[datetime]]:
    """When these shoppers' clicks on the offer that are paid for were, near enough to the hour to matter."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT shopper, clicked_at FROM billable_click WHERE is_valid AND offer_id = $1 AND shopper = ANY ($2::text[])"
        " AND clicked_at > $3 AND clicked_at < $4",
        (due.offer_id, list(shoppers), due.hour_at - APART, due.hour_at + HOUR + APART),
    )
    paid: dict[str, list[datetime]] = {}
    for row in result:
        paid.setdefault(row.shopper, []).append(row.clicked_at)
    return paid


async def mark_judged(session: Session, *, valid: Collection[bytes], others: Collection[bytes]) -> None:
    """Note the verdicts."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE billable_click SET is_valid = click_id = ANY ($1::bytea[])"
        " WHERE click_id = ANY ($1::bytea[]) OR click_id = ANY ($2::bytea[])",
        (list(valid), list(others)),
    )


async def find_last_parts(session: Session, due: DueHour) -> dict[tuple[int, int], int]:
    """The last part of each (offer version, affiliate) of the hour."""
    result = await session.execute(
        text(
            "SELECT offer_version, affiliate_id, max(part) AS part FROM billable_bundle"
            " WHERE offer_id = :offer_id AND hour_at = :hour_at GROUP BY 1, 2"
        ),
        {"offer_id": due.offer_id, "hour_at": due.hour_at},
    )
    return {(row["offer_version"], row["affiliate_id"]): row["part"] for row in result.mappings()}


async def insert_bundles(session: Session, bundles: Sequence[BundleRow]) -> None:
    """Add settled bundles; each of them is a key of its own."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        f"INSERT INTO billable_bundle ({', '.join(BundleRow.__slots__)})"  # noqa: S608
        " SELECT * FROM unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::timestamptz[], $6::int[], $7::int[],"
        " $8::timestamptz[])",
        tuple([getattr(bundle, name) for bundle in bundles] for name in BundleRow.__slots__),
    )
