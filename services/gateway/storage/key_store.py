"""API keys: hashes only."""

# ruff: noqa: S608 - statements are put together from names of this module only

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from services.gateway.domain.api_keys import ApiKey
from services.gateway.storage.session import execute, fetch_all, fetch_one
from shared.runtime.database import Database, Session

_KEY = (
    "key_id, role, merchant_id, affiliate_id, label, secret_sha256, replaces_key_id, created_at, expires_at, revoked_at"
)
_OF_PARTY = (
    f"SELECT {', '.join(f'api_key.{name}' for name in _KEY.split(', '))},"
    " coalesce(merchant.status, affiliate.status, 'active') AS party_status"
    " FROM api_key LEFT JOIN merchant USING (merchant_id) LEFT JOIN affiliate USING (affiliate_id)"
)
_FIND = f"{_OF_PARTY} WHERE key_id = $1"
_BOOTSTRAP_LOCK = 7_406_232


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        key_id=row.key_id,
        role=row.role,
        merchant_id=row.merchant_id,
        affiliate_id=row.affiliate_id,
        label=row.label,
        secret_sha256=bytes(row.secret_sha256),
        replaces_key_id=row.replaces_key_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        party_status=row.party_status,
    )


async def insert_key(session: Session, key: ApiKey) -> bool:
    """Store a key; False when its id is taken."""
    statement = f"INSERT INTO api_key ({_KEY}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING"
    inserted = await execute(
        session,
        statement,
        key.key_id,
        key.role,
        key.merchant_id,
        key.affiliate_id,
        key.label,
        key.secret_sha256,
        key.replaces_key_id,
        key.created_at,
        key.expires_at,
        key.revoked_at,
    )
    return inserted == 1


async def look_up_key(database: Database, key_id: str) -> ApiKey | None:
    """The key behind an id, in one round trip: for the door."""
    async with database.reading() as connection:
        row = (await connection.exec_driver_sql(_FIND, (key_id,))).one_or_none()
    return None if row is None else _key(row)


async def look_up_keys(database: Database, key_ids: Sequence[str]) -> Sequence[ApiKey]:
    """The keys behind these ids, those that exist, in one round trip."""
    async with database.reading() as connection:
        rows = await connection.exec_driver_sql(f"{_OF_PARTY} WHERE key_id = ANY($1)", (list(key_ids),))
    return [_key(row) for row in rows.all()]


async def find_key(session: Session, key_id: str) -> ApiKey | None:
    """The key with this id."""
    row = await fetch_one(session, _FIND, key_id)
    return None if row is None else _key(row)


async def lock_key(session: Session, key_id: str) -> ApiKey | None:
    """The key with this id, locked until the transaction ends."""
    row = await fetch_one(session, f"{_FIND} FOR UPDATE OF api_key", key_id)
    return None if row is None else _key(row)


async def store_key_end(session: Session, key: ApiKey) -> None:
    """Write when a key ends. The caller holds its row lock."""
    await execute(
        session,
        "UPDATE api_key SET expires_at = $2, revoked_at = $3 WHERE key_id = $1",
        key.key_id,
        key.expires_at,
        key.revoked_at,
    )


async def lock_bootstrap(session: Session) -> bool:
    """Wait for other starting gateways, then say whether any admin key was ever issued."""
    await fetch_one(session, f"SELECT pg_advisory_xact_lock({_BOOTSTRAP_LOCK})::text")
    return await fetch_one(session, "SELECT 1 AS one FROM api_key WHERE role = 'admin' LIMIT 1") is not None


async def list_keys(
    session: Session, *, merchant_id: int | None, affiliate_id: int | None, after_id: str, limit: int
) -> Sequence[ApiKey]:
    """Keys by id."""
    statement = (
        f"{_OF_PARTY} WHERE key_id > $1 AND ($2::int IS NULL OR api_key.merchant_id = $2)"
        " AND ($3::int IS NULL OR api_key.affiliate_id = $3) ORDER BY key_id LIMIT $4"
    )
    return [_key(row) for row in await fetch_all(session, statement, after_id, merchant_id, affiliate_id, limit)]
