"""Answers kept by idempotency key, in the transaction of their effect."""

from dataclasses import dataclass
from datetime import datetime

from services.gateway.storage.session import execute, fetch_one
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What was answered. body: None where it held a secret, which is shown once and kept nowhere."""

    request_sha256: bytes
    status: int
    body: bytes | None


async def claim_idempotency_key(session: Session, *, scope: str, idempotency_key: str) -> bool:
    """Hold the key until the transaction ends; False when another request holds it now."""
    row = await fetch_one(
        session,
        "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || chr(10) || $2, 20261124)) AS held",
        scope,
        idempotency_key,
    )
    return row is not None and bool(row.held)


async def find_answer(session: Session, *, scope: str, idempotency_key: str) -> StoredAnswer | None:
    """The answer given under this key."""
    row = await fetch_one(
        session,
        "SELECT request_sha256, status, body FROM idempotency_record WHERE scope = $1 AND idempotency_key = $2",
        scope,
        idempotency_key,
    )
    if row is None:
        return None
    body = None if row.body is None else bytes(row.body)
    return StoredAnswer(request_sha256=bytes(row.request_sha256), status=row.status, body=body)


async def store_answer(
    session: Session,
    *,
    scope: str,
    idempotency_key: str,
    merchant_id: int | None,
    affiliate_id: int | None,
    answer: StoredAnswer,
    now: datetime,
) -> None:
    """Keep an answer with its effect."""
    await execute(
        session,
        "INSERT INTO idempotency_record"
        " (scope, idempotency_key, merchant_id, affiliate_id, request_sha256, status, body, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        scope,
        idempotency_key,
        merchant_id,
        affiliate_id,
        answer.request_sha256,
        answer.status,
        answer.body,
        now,
    )


async def forget_answers(session: Session, *, before: datetime, limit: int) -> int:
    """Delete at most `limit` answers older than `before`; gives how many."""
    return await execute(
        session,
        "DELETE FROM idempotency_record WHERE ctid IN"
        " (SELECT ctid FROM idempotency_record WHERE created_at < $1 LIMIT $2)",
        before,
        limit,
    )
