"""Answers kept under the caller's idempotency key, written with the effect they tell of."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.kernel.clock import Clock
from shared.runtime.database import Session
from shared.runtime.retention import BATCH_ROWS, remove

KEPT_ANSWERS: Final = timedelta(days=30)
"""How long a write may be sent again and is recognised."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered under a key. owner: the party whose key it is. request_hash: SHA-256 of route and body."""

    owner: str
    key: str
    merchant_id: int | None
    affiliate_id: int | None
    request_hash: bytes
    http_status: int
    answer: bytes
    created_at: datetime


async def try_lock_key(session: Session, *, owner: str, key: str) -> bool:
    """Hold the key until the transaction ends; False when another request holds it right now."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 7406233))", (f"{owner} {key}",)
    )
    return bool(result.scalar_one())


async def find_kept_answer(session: Session, *, owner: str, key: str) -> KeptAnswer | None:
    """What was answered under the key before."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT owner, key, merchant_id, affiliate_id, request_hash, http_status, answer, created_at"
        " FROM idempotency_key WHERE owner = $1 AND key = $2",
        (owner, key),
    )
    row = result.mappings().first()
    return None if row is None else KeptAnswer(**row)


async def keep_answer(session: Session, kept: KeptAnswer) -> None:
    """Keep an answer."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO idempotency_key (owner, key, merchant_id, affiliate_id, request_hash, http_status, answer,"
        " created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        tuple(getattr(kept, name) for name in KeptAnswer.__slots__),
    )


async def forget_kept_answers(session: Session, clock: Clock) -> int:
    """Remove a batch of answers older than KEPT_ANSWERS; gives how many."""
    return await remove(
        session,
        "idempotency_key",
        "DELETE FROM idempotency_key WHERE ctid IN (SELECT ctid FROM idempotency_key WHERE created_at < $1 LIMIT $2)",
        (clock.now() - KEPT_ANSWERS, BATCH_ROWS),
    )
