"""Answers kept under the caller's idempotency key, written with the effect they tell of."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered under a key. owner: the party whose key it is. request_hash: SHA-256 of route and body."""

    owner: str
    key: str
    merchant_id: int | None
    request_hash: bytes
    http_status: int
    answer: bytes
    created_at: datetime


async def try_lock_key(session: Session, *, owner: str, key: str) -> bool:
    """Hold the key until the transaction ends; False when another request holds it right now."""
    result = await session.execute(
        text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 7406233))"), {"name": f"{owner} {key}"}
    )
    return bool(result.scalar_one())


async def find_kept_answer(session: Session, *, owner: str, key: str) -> KeptAnswer | None:
    """What was answered under the key before."""
    result = await session.execute(
        text("SELECT * FROM idempotency_key WHERE owner = :owner AND key = :key"), {"owner": owner, "key": key}
    )
    row = result.mappings().first()
    return None if row is None else KeptAnswer(**row)


async def keep_answer(session: Session, kept: KeptAnswer) -> None:
    """Keep an answer."""
    await session.execute(
        text(
            "INSERT INTO idempotency_key (owner, key, merchant_id, request_hash, http_status, answer, created_at)"
            " VALUES (:owner, :key, :merchant_id, :request_hash, :http_status, :answer, :created_at)"
        ),
        {name: getattr(kept, name) for name in KeptAnswer.__slots__},
    )
