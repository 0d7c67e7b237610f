"""The click log: one row a click, by month of the click, written in groups and read page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text

from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class ClickRow:
    """One click as stored. click_id: 35 bytes. clicked_at: the time inside it."""

    click_id: bytes
    clicked_at: datetime
    offer_id: int
    offer_version: int
    affiliate_id: int
    merchant_id: int
    flags: int
    subs: Mapping[str, str]
    aff_click_id: str | None
    source: str | None
    creative: str | None
    ad_click_ids: Mapping[str, str]
    deep_link: str | None
    referrer_host: str | None
    user_agent: str | None
    ip_hash: str | None
    visitor_key: str | None
    consent: bool | None


@dataclass(frozen=True, slots=True)
class ListedClick:
    """What people see of one click: nothing that is about the shopper."""

    click_id: bytes
    clicked_at: datetime
    offer_id: int
    offer_version: int
    affiliate_id: int
    flags: int
    subs: Mapping[str, str]
    aff_click_id: str | None
    source: str | None
    creative: str | None
    deep_link: str | None
    referrer_host: str | None
    consent: bool | None


@dataclass(frozen=True, slots=True)
class ClickFilter:
    """Which clicks to list. from_at, to_at: half-open. before: the last click of the page before."""

    affiliate_id: int | None = None
    offer_id: int | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    sub1: str | None = None
    before: tuple[datetime, bytes] | None = None


_COLUMN_TYPES = {
    "click_id": "bytea",
    "clicked_at": "timestamptz",
    "offer_id": "int",
    "offer_version": "int",
    "affiliate_id": "int",
    "merchant_id": "int",
    "flags": "int",
    "subs": "text",
    "aff_click_id": "text",
    "source": "text",
    "creative": "text",
    "ad_click_ids": "text",
    "deep_link": "text",
    "referrer_host": "text",
    "user_agent": "text",
    "ip_hash": "text",
    "visitor_key": "text",
    "consent": "boolean",
}
_JSON_COLUMNS = frozenset({"subs", "ad_click_ids"})
_INSERT = (
    f"INSERT INTO click ({', '.join(_COLUMN_TYPES)}) SELECT "  # noqa: S608  (names of this module only)
    + ", ".join(f"{name}::jsonb" if name in _JSON_COLUMNS else name for name in _COLUMN_TYPES)
    + " FROM unnest("
    + ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(_COLUMN_TYPES.values(), start=1))
    + f") AS given({', '.join(_COLUMN_TYPES)}) ON CONFLICT DO NOTHING"
)
_LISTED = ", ".join(field.name for field in fields(ListedClick))


async def insert_clicks(session: Session, clicks: Sequence[ClickRow]) -> int:
    """Add the clicks that are not there yet, in one statement; gives how many were new."""
    columns = [
        [_as_json(getattr(click, name)) if name in _JSON_COLUMNS else getattr(click, name) for click in clicks]
        for name in _COLUMN_TYPES
    ]
    connection = await session.connection()
    result = await connection.exec_driver_sql(_INSERT, tuple(columns))
    return result.rowcount


def _as_json(value: Mapping[str, str]) -> str:
    return orjson.dumps(value).decode("utf-8") if value else "{}"


async def ensure_month(session: Session, instant: datetime) -> None:
    """Make the partition that holds `instant`, unless it is there."""
    await session.execute(text("SELECT ensure_click_partition(:instant)"), {"instant": instant})


async def list_clicks(session: Session, wanted: ClickFilter, limit: int) -> Sequence[ListedClick]:
    """Clicks that match, newest first, at most `limit`. Row-level security narrows them to the tenant's own."""
    conditions, values = _conditions(wanted)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    statement = f"SELECT {_LISTED} FROM click {where} ORDER BY clicked_at DESC, click_id DESC LIMIT :limit"  # noqa: S608
    rows = await session.execute(text(statement), {**values, "limit": limit})
    return [ListedClick(**row) for row in rows.mappings()]


def _conditions(wanted: ClickFilter) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for condition, name, value in (
        ("affiliate_id = :affiliate_id", "affiliate_id", wanted.affiliate_id),
        ("offer_id = :offer_id", "offer_id", wanted.offer_id),
        ("clicked_at >= :from_at", "from_at", wanted.from_at),
        ("clicked_at < :to_at", "to_at", wanted.to_at),
        ("subs ->> 'sub1' = :sub1", "sub1", wanted.sub1),
    ):
        if value is not None:
            conditions.append(condition)
            values[name] = value
    if wanted.before is not None:
        conditions.append("(clicked_at, click_id) < (:before_at, :before_id)")
        conditions.append("clicked_at <= :before_at")
        values["before_at"], values["before_id"] = wanted.before
    return conditions, values
