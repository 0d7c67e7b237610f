"""Merchants and affiliates."""

# ruff: noqa: S608 - statements are put together from names of this module only

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from services.gateway.domain.intervals import Interval
from services.gateway.domain.parties import Affiliate, GroupMembership, Merchant
from services.gateway.storage.session import execute, fetch_all, fetch_one
from shared.runtime.database import Session

_MERCHANT = "merchant_id, name, status, created_at"
_GROUPS = ", ".join(
    f"ARRAY(SELECT {column} FROM affiliate_group g WHERE g.affiliate_id = a.affiliate_id"
    f" ORDER BY group_name, number) AS {name}"
    for column, name in (("group_name", "group_names"), ("start_at", "starts"), ("end_at", "ends"))
)
_AFFILIATE = f"a.affiliate_id, a.name, a.status, a.created_at, a.referred_by, {_GROUPS}"


def _merchant(row: Row[Any]) -> Merchant:
    return Merchant(row.merchant_id, row.name, row.status, row.created_at)


def _affiliate(row: Row[Any]) -> Affiliate:
    groups = dict[str, tuple[Interval, ...]]()
    for name, start_at, end_at in zip(row.group_names, row.starts, row.ends, strict=True):
        groups[name] = (*groups.get(name, ()), Interval(start_at, end_at))
    memberships = tuple(GroupMembership(name, intervals) for name, intervals in groups.items())
    return Affiliate(row.affiliate_id, row.name, row.status, row.created_at, row.referred_by, memberships)


async def insert_merchant(session: Session, *, name: str, now: datetime) -> Merchant:
    """A new active merchant, numbered by the database."""
    statement = f"INSERT INTO merchant (name, created_at) VALUES ($1, $2) RETURNING {_MERCHANT}"
    row = await fetch_one(session, statement, name, now)
    assert row is not None
    return _merchant(row)


async def insert_affiliate(session: Session, *, name: str, referred_by: int | None, now: datetime) -> Affiliate:
    """A new active affiliate, numbered by the database."""
    statement = (
        "INSERT INTO affiliate (name, referred_by, created_at) VALUES ($1, $2, $3)"
        " RETURNING affiliate_id, name, status, created_at, referred_by"
    )
    row = await fetch_one(session, statement, name, referred_by, now)
    assert row is not None
    return Affiliate(row.affiliate_id, row.name, row.status, row.created_at, row.referred_by)


async def find_merchant(session: Session, merchant_id: int) -> Merchant | None:
    """The merchant, if the caller may see it."""
    row = await fetch_one(session, f"SELECT {_MERCHANT} FROM merchant WHERE merchant_id = $1", merchant_id)
    return None if row is None else _merchant(row)


async def find_affiliate(session: Session, affiliate_id: int) -> Affiliate | None:
    """The affiliate, if the caller may see it."""
    row = await fetch_one(session, f"SELECT {_AFFILIATE} FROM affiliate a WHERE a.affiliate_id = $1", affiliate_id)
    return None if row is None else _affiliate(row)


async def lock_merchant(session: Session, merchant_id: int) -> Merchant | None:
    """The merchant, locked until the transaction ends."""
    row = await fetch_one(session, f"SELECT {_MERCHANT} FROM merchant WHERE merchant_id = $1 FOR UPDATE", merchant_id)
    return None if row is None else _merchant(row)


async def lock_affiliate(session: Session, affiliate_id: int) -> Affiliate | None:
    """The affiliate, locked until the transaction ends."""
    locked = await fetch_one(
        session, "SELECT affiliate_id FROM affiliate WHERE affiliate_id = $1 FOR UPDATE", affiliate_id
    )
    # A second statement: the intervals must be read after the lock is held.
    return None if locked is None else await find_affiliate(session, affiliate_id)


async def store_merchant_status(session: Session, merchant: Merchant) -> None:
    """Write its status. The caller holds its row lock."""
    await execute(
        session, "UPDATE merchant SET status = $2 WHERE merchant_id = $1", merchant.merchant_id, merchant.status
    )


async def store_affiliate_status(session: Session, affiliate: Affiliate) -> None:
    """Write its status. The caller holds its row lock."""
    await execute(
        session, "UPDATE affiliate SET status = $2 WHERE affiliate_id = $1", affiliate.affiliate_id, affiliate.status
    )


async def list_merchants(session: Session, *, after_id: int, limit: int) -> Sequence[Merchant]:
    """Merchants by number."""
    statement = f"SELECT {_MERCHANT} FROM merchant WHERE merchant_id > $1 ORDER BY merchant_id LIMIT $2"
    return [_merchant(row) for row in await fetch_all(session, statement, after_id, limit)]


async def list_affiliates(session: Session, *, after_id: int, limit: int) -> Sequence[Affiliate]:
    """Affiliates by number."""
    statement = f"SELECT {_AFFILIATE} FROM affiliate a WHERE a.affiliate_id > $1 ORDER BY a.affiliate_id LIMIT $2"
    return [_affiliate(row) for row in await fetch_all(session, statement, after_id, limit)]


async def known_affiliates(session: Session, affiliate_ids: Collection[int]) -> frozenset[int]:
    """Which of these numbers an affiliate has."""
    statement = "SELECT affiliate_id FROM affiliate WHERE affiliate_id = ANY($1::int[])"
    return frozenset(row.affiliate_id for row in await fetch_all(session, statement, list(affiliate_ids)))
