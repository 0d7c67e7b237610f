"""Writes that may be sent again: with `Idempotency-Key` the answer is stored with the effect and given again.

Same key and same request (method, path, JSON value): the first answer, with `Idempotent-Replayed: true`. Same key,
another request: 422 `idempotency_key_reused`. The first one still running: 409 `idempotency_in_progress`. Only
answers of done writes are kept (30 days); a refusal is judged afresh. An answer that held a secret is not kept:
409 `idempotent_response_unavailable` says that the write was done. The write's audit entry commits with it; an answer
that is given again writes none.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request, Response
from pydantic import BaseModel

from services.gateway.api.wiring import Wiring, wiring_of
from services.gateway.storage.idempotency_store import (
    StoredAnswer,
    claim_idempotency_key,
    find_answer,
    store_answer,
)
from shared.runtime.audit import Act, record_act
from shared.runtime.audit_requests import author_of
from shared.runtime.database import Session
from shared.runtime.idempotency_key import REPLAYED_HEADER, idempotency_key, in_progress, key_reused
from shared.runtime.principal import Principal
from shared.runtime.problem import conflict


@dataclass(frozen=True, slots=True)
class Done:
    """What an effect did: the answer it gives, and its act for the audit chain."""

    answer: BaseModel
    act: Act


Effect = Callable[[Session], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class _Claim:
    scope: str
    idempotency_key: str
    request_sha256: bytes


async def perform_once(
    request: Request, caller: Principal, effect: Effect, *, status: int = 200, holds_secret: bool = False
) -> Response:
    """Run `effect` in the caller's transaction and answer with what it gives, once per idempotency key.

    holds_secret: the answer shows a secret, and must be kept nowhere.
    """
    wiring = wiring_of(request)
    claim = await _claim_of(request, caller)
    async with wiring.transaction_for(caller) as session:
        if claim is None:
            done = await effect(session)
            await _record(session, request, caller, done, wiring)
            return _response(done.answer.model_dump_json().encode(), status, holds_secret=holds_secret)
        stored = await _stored(session, claim)
        if stored is not None:
            return _replay(stored)
        done = await effect(session)
        body = done.answer.model_dump_json().encode()
        await store_answer(
            session,
            scope=claim.scope,
            idempotency_key=claim.idempotency_key,
            merchant_id=caller.merchant_id,
            affiliate_id=caller.affiliate_id,
            answer=StoredAnswer(
                request_sha256=claim.request_sha256, status=status, body=None if holds_secret else body
            ),
            now=wiring.clock.now(),
        )
        await _record(session, request, caller, done, wiring)
    return _response(body, status, holds_secret=holds_secret)


async def _record(session: Session, request: Request, caller: Principal, done: Done, wiring: Wiring) -> None:
    await record_act(session, author_of(request, caller), done.act, now=wiring.clock.now())


async def _stored(session: Session, claim: _Claim) -> StoredAnswer | None:
    if not await claim_idempotency_key(session, scope=claim.scope, idempotency_key=claim.idempotency_key):
        raise in_progress()
    stored = await find_answer(session, scope=claim.scope, idempotency_key=claim.idempotency_key)
    if stored is not None and stored.request_sha256 != claim.request_sha256:
        raise key_reused()
    return stored


def _replay(stored: StoredAnswer) -> Response:
    if stored.body is None:
        raise conflict(
            "idempotent_response_unavailable",
            "This was done already, and its secret is shown only once. Revoke the key and issue another if it is lost.",
        )
    response = _response(stored.body, stored.status)
    response.headers[REPLAYED_HEADER] = "true"
    return response


def _response(body: bytes, status: int, *, holds_secret: bool = False) -> Response:
    response = Response(body, status_code=status, media_type="application/json")
    if holds_secret:
        response.headers["Cache-Control"] = "no-store"
    return response


async def _claim_of(request: Request, caller: Principal) -> _Claim | None:
    key = await idempotency_key(request)
    return None if key is None else _Claim(_scope_of(caller), key, await _request_hash(request))


def _scope_of(caller: Principal) -> str:
    """Keys are apart per tenant, not per API key: a retry after a rotation is still a retry."""
    return f"{caller.role}:{caller.merchant_id or caller.affiliate_id or 0}"


async def _request_hash(request: Request) -> bytes:
    body = await request.body()
    value = await request.json() if body else None
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(f"{request.method} {request.url.path}\n{canonical}".encode()).digest()
