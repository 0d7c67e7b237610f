"""Conversions: inserted in groups, locked before they change, each change with its line on the trail."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from services.conversions.domain.conversion import Change, ClickDetails, Conversion
from services.conversions.domain.step import Step
from services.conversions.storage import conversion_rows as rows
from shared.runtime.database import Session

ConversionKey = tuple[int, str, str]
"""merchant, event, dedupe key: what makes a conversion one."""

_INSERT_VERSIONS = """
INSERT INTO conversion_version (conversion_id, version, merchant_id, affiliate_id, at, change, status, outcome,
    actor_kind, actor_key, reason_code, adjustment_id, currency, net_amount_minor, steps)
SELECT conversion_id, version, merchant_id, affiliate_id, at, change, status, outcome, actor_kind, actor_key,
    reason_code, adjustment_id, currency, net_amount_minor, steps::jsonb
FROM unnest($1::uuid[], $2::int[], $3::int[], $4::int[], $5::timestamptz[], $6::text[], $7::text[], $8::int[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::text[])
    AS given(conversion_id, version, merchant_id, affiliate_id, at, change, status, outcome, actor_kind, actor_key,
    reason_code, adjustment_id, currency, net_amount_minor, steps)
"""
_LOCK_BY_KEY = """
SELECT conversion.* FROM conversion JOIN unnest($1::int[], $2::text[], $3::text[]) AS given(merchant_id, event, key)
    ON conversion.merchant_id = given.merchant_id AND conversion.event = given.event
    AND conversion.dedupe_key = given.key
ORDER BY conversion.id FOR UPDATE OF conversion
"""
_FIND_KEYS = """
SELECT merchant_id, event, dedupe_key FROM conversion JOIN unnest($1::int[], $2::text[], $3::text[])
    AS given(merchant_id, event, dedupe_key) USING (merchant_id, event, dedupe_key)
"""
_LOCK_BY_ORDER = """
SELECT conversion.* FROM conversion JOIN unnest($1::int[], $2::text[]) AS given(merchant_id, order_id)
    ON conversion.merchant_id = given.merchant_id AND conversion.order_id = given.order_id
ORDER BY conversion.id FOR UPDATE OF conversion
"""


def steps_json(steps: Sequence[Step]) -> str:
    """The attribution's steps as the trail stores them."""
    return orjson.dumps([{"rule": s.rule, "verdict": s.verdict, "reason": s.reason} for s in steps]).decode("utf-8")


async def insert_versions(session: Session, changes: Sequence[Change]) -> None:
    """Add the trail's lines of `changes`."""
    states = [change.after for change in changes]
    amounts = [state.net_amount for state in states]
    connection = await session.connection()
    await connection.exec_driver_sql(
        _INSERT_VERSIONS,
        (
            [state.id for state in states],
            [state.version for state in states],
            [state.merchant_id for state in states],
            [state.affiliate_id for state in states],
            [state.changed_at for state in states],
            [change.change for change in changes],
            [state.status.value for state in states],
            [int(state.outcome) for state in states],
            [change.actor.kind for change in changes],
            [change.actor.key for change in changes],
            [change.reason_code for change in changes],
            [change.adjustment_id for change in changes],
            [None if amount is None else amount.currency for amount in amounts],
            [None if amount is None else amount.amount_minor for amount in amounts],
            [steps_json(change.steps) for change in changes],
        ),
    )


async def update_conversions(session: Session, changes: Sequence[Change]) -> None:
    """Bring the rows, which the caller has locked, to the last of their changes."""
    last = {change.after.id: change.after for change in changes}
    connection = await session.connection()
    await connection.exec_driver_sql(rows.UPDATE, rows.update_values(list(last.values())))


async def lock_by_keys(session: Session, keys: Collection[ConversionKey]) -> dict[ConversionKey, Conversion]:
    """The conversions under `keys`, locked until the transaction ends."""
    if not keys:
        return {}
    ordered = sorted(keys)
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        _LOCK_BY_KEY, tuple([key[place] for key in ordered] for place in range(3))
    )
    found = [rows.read_conversion(dict(row)) for row in result.mappings()]
    return {(c.merchant_id, c.event, c.dedupe_key): c for c in found}


async def find_keys(session: Session, keys: Collection[ConversionKey]) -> set[ConversionKey]:
    """Those of `keys` that conversions are recorded under."""
    ordered = sorted(keys)
    connection = await session.connection()
    result = await connection.exec_driver_sql(_FIND_KEYS, tuple([key[place] for key in ordered] for place in range(3)))
    return {(row.merchant_id, row.event, row.dedupe_key) for row in result}


async def lock_by_orders(session: Session, orders: Collection[tuple[int, str]]) -> list[Conversion]:
    """Every conversion of the (merchant, order id) pairs, locked until the transaction ends."""
    if not orders:
        return []
    ordered = sorted(orders)
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        _LOCK_BY_ORDER, ([merchant for merchant, _ in ordered], [order for _, order in ordered])
    )
    return [rows.read_conversion(dict(row)) for row in result.mappings()]


async def find_orders(session: Session, orders: Collection[tuple[int, str]]) -> set[tuple[int, str]]:
    """Those of the (merchant, order id) pairs that conversions are recorded under."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT DISTINCT merchant_id, order_id FROM conversion JOIN unnest($1::int[], $2::text[])"
        " AS given(merchant_id, order_id) USING (merchant_id, order_id)",
        ([merchant for merchant, _ in orders], [order for _, order in orders]),
    )
    return {(row.merchant_id, row.order_id) for row in result}


async def lock_by_ids(session: Session, ids: Collection[UUID]) -> list[Conversion]:
    """The conversions with these ids that the session may see, locked until the transaction ends."""
    result = await session.execute(
        text("SELECT * FROM conversion WHERE id = ANY(:ids) ORDER BY id FOR UPDATE"), {"ids": list(ids)}
    )
    return [rows.read_conversion(dict(row)) for row in result.mappings()]


async def lock_by_order(
    session: Session, order_ids: Collection[str], *, event: str | None, merchant_id: int | None
) -> list[Conversion]:
    """At most two of one order's conversions that the session may see, locked: one is meant, two are too many.

    order_ids: the ways it may be spelt. event: None for any. merchant_id: None for any (staff).
    """
    result = await session.execute(
        text(
            "SELECT * FROM conversion WHERE order_id = ANY(:order_ids)"
            " AND (CAST(:event AS text) IS NULL OR event = :event)"
            " AND (CAST(:merchant_id AS int) IS NULL OR merchant_id = :merchant_id) ORDER BY id LIMIT 2 FOR UPDATE"
        ),
        {"order_ids": list(order_ids), "event": event, "merchant_id": merchant_id},
    )
    return [rows.read_conversion(dict(row)) for row in result.mappings()]


async def lock_due_for_approval(session: Session, now: datetime, limit: int) -> list[Conversion]:
    """Pending conversions whose validation days have passed, oldest first, skipping what others hold."""
    result = await session.execute(
        text(
            "SELECT * FROM conversion WHERE status = 'pending' AND approve_at <= :now"
            " ORDER BY approve_at LIMIT :limit FOR UPDATE SKIP LOCKED"
        ),
        {"now": now, "limit": limit},
    )
    return [rows.read_conversion(dict(row)) for row in result.mappings()]


async def lock_ready_waiting(session: Session, limit: int) -> list[Conversion]:
    """Waiting conversions whose offer version is in the projection by now, skipping what others hold."""
    result = await session.execute(
        text(
            "SELECT conversion.* FROM conversion JOIN projection_entry"
            " ON projection_entry.key = 'offer:' || offer_id || '\\:v' || offer_version"
            " WHERE status = 'waiting' ORDER BY conversion.id LIMIT :limit FOR UPDATE OF conversion SKIP LOCKED"
        ),
        {"limit": limit},
    )
    return [rows.read_conversion(dict(row)) for row in result.mappings()]


_WITH_DETAILS = (
    "SELECT conversion.*, d.subs AS d_subs, d.aff_click_id AS d_aff_click_id, d.source AS d_source,"
    " d.creative AS d_creative FROM conversion JOIN click_detail d USING (click_id)"
    " WHERE NOT has_details AND conversion.click_id IS NOT NULL AND "
)


async def lock_of_clicks(session: Session, click_ids: Collection[bytes]) -> list[tuple[Conversion, ClickDetails]]:
    """Conversions by these clicks that lack their details, with the details that are known, locked."""
    condition = "conversion.click_id = ANY(:click_ids) ORDER BY conversion.id FOR UPDATE OF conversion"
    result = await session.execute(text(_WITH_DETAILS + condition), {"click_ids": list(click_ids)})
    return [_with_details(dict(row)) for row in result.mappings()]


async def lock_without_details(session: Session, since: datetime, limit: int) -> list[tuple[Conversion, ClickDetails]]:
    """Conversions changed since then that lack the details known by now, with them; skipping what others hold."""
    condition = "changed_at >= :since ORDER BY changed_at LIMIT :limit FOR UPDATE OF conversion SKIP LOCKED"
    result = await session.execute(text(_WITH_DETAILS + condition), {"since": since, "limit": limit})
    return [_with_details(dict(row)) for row in result.mappings()]


def _with_details(row: dict[str, Any]) -> tuple[Conversion, ClickDetails]:
    details = ClickDetails(row["d_subs"], row["d_aff_click_id"], row["d_source"], row["d_creative"])
    return rows.read_conversion(row), details


async def find_offer_version_payloads(session: Session, keys: Collection[str]) -> dict[str, bytes]:
    """Payloads of the stored projection, by key."""
    result = await session.execute(
        text("SELECT key, payload FROM projection_entry WHERE key = ANY(:keys)"), {"keys": list(keys)}
    )
    return {row["key"]: bytes(row["payload"]) for row in result.mappings()}
