"""Writes that may be sent again: with `Idempotency-Key` the answer is kept with the effect, and given again.

Refusals are not kept: they are judged afresh. The write's audit entry commits with it; an answer that is given again
writes none.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request, Response

from services.commissions.api.desk import desk_of
from services.commissions.storage.idempotency_store import KeptAnswer, find_kept_answer, keep_answer, try_lock_key
from shared.runtime.audit import Act, record_act
from shared.runtime.audit_requests import author_of
from shared.runtime.database import Session
from shared.runtime.failpoint import failpoint
from shared.runtime.idempotency_key import REPLAYED_HEADER, idempotency_key, in_progress, key_reused
from shared.runtime.principal import Principal


@dataclass(frozen=True, slots=True)
class Done:
    """What an effect did: the JSON value it answers, and its act for the audit chain."""

    answer: Any
    act: Act


Effect = Callable[[Session], Awaitable[Done]]


async def perform_once(
    request: Request, caller: Principal, effect: Effect, *, asked: Any, status: int = 200
) -> Response:
    """Run `effect` in the caller's transaction and answer with what it gives, once per `Idempotency-Key`.

    asked: the body as a JSON value, or any bytes' hash; method, path and query are added. Something else under the
    same key is 422. Keys are apart per party, not per API key: a retry after a rotation is still a retry.
    """
    desk, key = desk_of(request), await idempotency_key(request)
    owner = f"{caller.role}:{caller.merchant_id or caller.affiliate_id or 0}"
    asked_hash = _hash(request, asked)
    async with desk.reading(caller) as session:
        kept = None if key is None else await _find_kept(session, owner, key, asked_hash)
        if kept is not None:
            response = _response(kept.answer, kept.http_status)
            response.headers[REPLAYED_HEADER] = "true"
            return response
        done, now = await effect(session), desk.clock.now()
        answer = orjson.dumps(done.answer)
        if key is not None:
            await keep_answer(
                session,
                KeptAnswer(owner, key, caller.merchant_id, caller.affiliate_id, asked_hash, status, answer, now),
            )
        await record_act(session, author_of(request, caller), done.act, now=now)
    failpoint("commissions.written_before_answer")
    return _response(answer, status)


def _hash(request: Request, asked: Any) -> bytes:
    named = [request.method, request.url.path, request.url.query, asked]
    return hashlib.sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).digest()


async def _find_kept(session: Session, owner: str, key: str, asked_hash: bytes) -> KeptAnswer | None:
    if not await try_lock_key(session, owner=owner, key=key):
        raise in_progress()
    kept = await find_kept_answer(session, owner=owner, key=key)
    if kept is not None and bytes(kept.request_hash) != asked_hash:
        raise key_reused()
    return kept


def _response(answer: bytes, status: int) -> Response:
    return Response(answer, status, media_type="application/json", headers={"Cache-Control": "no-store"})
